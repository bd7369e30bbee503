import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import type { BranchPoint, ExportedBranch } from "../../src/index.ts";

/** A place in a conversation: what follows there now, and its alternatives. */
interface Place {
  current: Step | null;
  others: { position: number; step: Step | null }[];
}
interface Step {
  message: UIMessage;
  rest: Place;
}

/** A branch with those that hang on its messages. */
interface Nested {
  afterMessageId: string | null;
  position: number;
  messages: UIMessage[];
  branches: Nested[];
}

const newPlace = (current: Step | null = null): Place => ({ current, others: [] });

/** A conversation as the tree that its user sees: small, slow, and without ids of branches. */
export class BranchTree {
  private readonly root = newPlace();

  get messages(): UIMessage[] {
    return messagesFrom(this.root.current);
  }

  /** The conversation has become this one, from the message at an index on. */
  change(at: number, messages: UIMessage[], { keeps }: { keeps: boolean }): void {
    const place = this.places()[at] as Place;
    const before = stepsFrom(place.current);
    const staying = new Set<Step>();
    let next: Step | null = null;
    for (const message of messages.slice(at).toReversed()) {
      const stays = before.find(({ message: other }) => other.id === message.id);
      const rest = newPlace(next);
      // What hangs on a message stays with it, as long as its words are the same or nothing is kept.
      if (stays && (!keeps || isDeepStrictEqual(stays.message, message))) {
        staying.add(stays);
        rest.others = stays.rest.others;
      }
      next = { message, rest };
    }
    place.current = next;
    let kept: Step | null = null;
    for (const step of before.toReversed()) {
      if (!staying.has(step)) kept = { ...step, rest: { ...step.rest, current: kept } };
    }
    if (keeps && kept) place.others.push({ position: smallestFree(place), step: kept });
  }

  switchTo({ afterMessageId }: Pick<BranchPoint, "afterMessageId">, position: number): void {
    const place = this.places()[this.messages.findIndex(({ id }) => id === afterMessageId) + 1] as Place;
    const chosen = place.others.find((other) => other.position === position);
    if (!chosen) throw new Error("There is no such branch.");
    place.others.push({ position: smallestFree(place), step: place.current });
    place.others.splice(place.others.indexOf(chosen), 1);
    place.current = chosen.step;
  }

  /** As `getBranches` returns them, without ids and times. */
  points() {
    const ids = [null, ...this.messages.map(({ id }) => id)];
    return this.places().flatMap((place, index) => {
      const others = place.others.toSorted((a, b) => a.position - b.position);
      if (others.length === 0) return [];
      return {
        afterMessageId: ids[index],
        position: smallestFree(place),
        count: others.length + 1,
        branches: others.map(({ position, step }) => ({ position, messageCount: messagesFrom(step).length })),
      };
    });
  }

  /** All branches, as `nested` makes them of an export. */
  branches(): Nested[] {
    return branchesAt(null, this.root);
  }

  private places(): Place[] {
    return [this.root, ...stepsFrom(this.root.current).map(({ rest }) => rest)];
  }
}

export function nested(branches: readonly ExportedBranch[], parent: string | null = null): Nested[] {
  return branches
    .filter(({ parentId }) => parentId === parent)
    .map(({ id, afterMessageId, position, messages }) => ({
      afterMessageId,
      position,
      messages,
      branches: nested(branches, id),
    }))
    .sort(byPlace);
}

/** The branches at a place, and at all that follow it in what is current there. */
function branchesAt(afterMessageId: string | null, { current, others }: Place): Nested[] {
  const here = others.map(({ position, step }) => ({
    afterMessageId,
    position,
    messages: messagesFrom(step),
    branches: step ? branchesAt(step.message.id, step.rest) : [],
  }));
  const later = current ? branchesAt(current.message.id, current.rest) : [];
  return [...here, ...later].sort(byPlace);
}

const byPlace = (one: Nested, other: Nested) =>
  String(one.afterMessageId).localeCompare(String(other.afterMessageId)) || one.position - other.position;

function stepsFrom(step: Step | null): Step[] {
  return step ? [step, ...stepsFrom(step.rest.current)] : [];
}

const messagesFrom = (step: Step | null) => stepsFrom(step).map(({ message }) => message);

function smallestFree({ others }: Place): number {
  let position = 1;
  while (others.some((other) => other.position === position)) position += 1;
  return position;
}
