import { isDeepStrictEqual } from "node:util";

/** A message as a person sees it: a text as its words, a tool as the state of its approval, the beginning of a step as a line. */
export interface Seen {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly says: readonly string[];
  readonly rating?: number;
}
export const line = "—";
export const requested = "(requested)";
export const approved = "(approved)";
export const denied = "(denied)";
export const actedOn = "(acted on)";
export const closed = "(closed)";

/** What a turn adds: to its answer, or to the message that it continues, whose tool it may have `acted` on. */
export interface Said {
  readonly says: readonly string[];
  readonly acted: boolean;
}
const nothing: Said = { says: [], acted: false };

export interface ExpectedTurn {
  /** The message that it answers or continues, as it was when the turn began. */
  readonly asked: Seen;
  readonly answerId: string;
  replaces: readonly string[];
  recorded: Said;
  isDead: boolean;
  /** Its recording has become its answer, if there was one. It may live after all. */
  isInterrupted: boolean;
  /** What its recording became, and what stood there before. */
  recovered?: { readonly answer: Seen; readonly before: Seen | undefined } | undefined;
}

/** How a request that brings a message of the user is meant. */
export type Meaning = "ask" | "retry" | "regenerate" | "edit";

export const approvalOf = ({ says }: Seen) => says.find((part) => part.startsWith("("));
export const respondedTo = (message: Seen, response: string): Seen => withApproval(message, () => response);
const withApproval = (message: Seen, next: (approval: string) => string): Seen => ({
  ...message,
  says: message.says.map((part) => (part.startsWith("(") ? next(part) : part)),
});
const act = (approval: string) => ({ [approved]: actedOn, [denied]: closed })[approval] ?? approval;
const close = (approval: string) => (approval === approved || approval === denied ? closed : approval);
export const saysNothing = ({ says, acted }: Said) => !acted && says.every((part) => part === line || part === "");

/** What a person would expect of a conversation in which several turns are running, and others change it meanwhile. */
export class Expected {
  messages: readonly Seen[] = [];
  /** Those that may still end, in the order in which they began. */
  turns: readonly ExpectedTurn[] = [];

  find = (id: string) => this.messages.find((message) => message.id === id);
  after = (id: string) => this.messages.slice(this.messages.findIndex((message) => message.id === id) + 1);

  /** Another writer puts a message in the place of the one with its id, or at the end. The turns do not learn of it. */
  put(message: Seen) {
    const isThere = this.find(message.id) !== undefined;
    const others = this.messages.map((other) => (other.id === message.id ? message : other));
    this.messages = isThere ? others : [...this.messages, message];
  }
  /** Another writer takes messages away. The turns do not learn of it. */
  remove(ids: readonly string[]) {
    this.messages = this.messages.filter(({ id }) => !ids.includes(id));
  }
  /** The recordings of turns that are over go with these messages, which were changed or deleted: these turns store nothing any more. */
  forget(ids: readonly string[]) {
    this.turns = this.turns.filter((turn) => !turn.isInterrupted || !concerns(turn, ids));
  }

  /** Where the message of a request belongs. Gives the ids of the messages that its answer takes the place of. */
  place(question: Seen, meaning: Meaning): readonly string[] {
    const found = this.find(question.id);
    const after = this.after(question.id);
    if (!found || meaning === "ask" || meaning === "edit") {
      if (found) this.cut(idsOf(after));
      this.put(question);
      return [];
    }
    if (meaning === "retry") return this.answerTo(question, after[0]);
    const ids = idsOf(after);
    // An answer goes with its question.
    const answers = this.turns.filter(({ asked }) => ids.includes(asked.id)).map(({ answerId }) => answerId);
    return [...new Set([...ids, ...answers])];
  }
  /** The message right after a question, unless it came there while the first answer was being generated. */
  private answerTo(question: Seen, next: Seen | undefined): string[] {
    const asked = this.turns.filter((turn) => turn.asked.id === question.id);
    const isAnswer = asked.every(
      ({ answerId, replaces }) => answerId === next?.id || replaces.includes(next?.id ?? ""),
    );
    return next?.role === "assistant" && isAnswer ? [next.id] : [];
  }

  /** A turn begins. `read` are the ids of the messages before this one that it has read. */
  begin(asked: Seen, answerId: string, replaces: readonly string[], read: readonly string[]): ExpectedTurn {
    // The answer to a question that will be replaced will be, too.
    for (const turn of this.turns) if (turn.replaces.includes(asked.id)) turn.replaces = [...turn.replaces, answerId];
    this.supersede([asked.id]);
    // An approval on which no turn acts is not acted on any more, once the conversation goes on after it.
    this.messages = this.messages.map((message) =>
      read.includes(message.id) && !this.isBeingContinued(message.id) ? withApproval(message, close) : message,
    );
    const turn = { asked, answerId, replaces, recorded: nothing, isDead: false, isInterrupted: false };
    this.turns = [...this.turns, turn];
    return turn;
  }
  isBeingContinued = (id: string) => this.turns.some(({ asked, isDead }) => asked.id === id && !isDead);

  /** Whether no later change has taken the place of what this turn answers or has written. */
  isWanted(turn: ExpectedTurn): boolean {
    const asked = this.find(turn.asked.id);
    if (!this.turns.includes(turn) || !asked) return false;
    const isAsLeft = !turn.recovered || isDeepStrictEqual(this.find(turn.answerId), turn.recovered.answer);
    return isAsLeft && (asked.role === "assistant" || isDeepStrictEqual(asked, turn.asked));
  }
  /** A turn ends. */
  end(turn: ExpectedTurn, said: Said) {
    this.store(turn, said);
    this.drop(turn);
  }
  drop(turn: ExpectedTurn) {
    this.turns = this.turns.filter((other) => other !== turn);
  }

  hasDead = () => this.turns.some(({ isDead, isInterrupted }) => isDead && !isInterrupted);
  /** What was recorded of turns that have died becomes their answers. Gives the way back, for a call that is rolled back. */
  recover(): () => void {
    const before = { messages: this.messages, turns: this.turns };
    const dead = this.turns.filter(({ isDead, isInterrupted }) => isDead && !isInterrupted);
    const recoveredBefore = dead.map(({ recovered }) => recovered);
    for (const turn of dead) {
      turn.isInterrupted = true;
      if (this.isWanted(turn) && !(turn.recovered && turn.asked.role === "assistant")) this.storeRecording(turn);
    }
    return () => {
      Object.assign(this, before);
      for (const [index, turn] of dead.entries()) {
        Object.assign(turn, { isInterrupted: false, recovered: recoveredBefore[index] });
      }
    };
  }
  private storeRecording(turn: ExpectedTurn) {
    const before = this.find(turn.answerId);
    this.store(turn, turn.recorded);
    const answer = this.find(turn.answerId);
    if (answer) turn.recovered = { answer, before };
  }

  private store(turn: ExpectedTurn, said: Said) {
    const asked = this.find(turn.asked.id);
    if (!asked) return;
    if (asked.role === "assistant") {
      // Others may have edited it meanwhile. Its own beginning is in what it says.
      const base = turn.recovered?.before ?? asked;
      if (saysNothing(said)) return this.put(base);
      const { says } = said.acted ? withApproval(base, act) : base;
      return this.put({ ...base, says: [...says, ...said.says] });
    }
    if (saysNothing(said)) return;
    const after = idsOf(this.after(asked.id));
    this.cut(turn.replaces.filter((id) => id !== turn.answerId && after.includes(id)));
    this.remove([turn.answerId]);
    const at = this.messages.indexOf(asked) + 1;
    const answer: Seen = { id: turn.answerId, role: "assistant", says: said.says };
    this.messages = [...this.messages.slice(0, at), answer, ...this.messages.slice(at)];
  }

  /** A turn takes messages away, and with them all that was asked or written there. */
  private cut(ids: readonly string[]) {
    this.remove(ids);
    this.supersede(ids);
  }
  /** What these messages ask is not answered any more, and what was written there is not written again. */
  private supersede(ids: readonly string[]) {
    this.turns = this.turns.filter((turn) => !concerns(turn, ids));
  }
}

const concerns = ({ asked, answerId }: ExpectedTurn, ids: readonly string[]) =>
  ids.includes(asked.id) || ids.includes(answerId);
export const idsOf = (messages: readonly Seen[]) => messages.map(({ id }) => id);
