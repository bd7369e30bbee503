import type { UIMessage } from "ai";
import { expect } from "vitest";
import type { Random } from "../random.ts";

/** A message: its id and the tag of the save that wrote it, like "w3.17". All else about it follows from these two. */
export interface Line {
  id: string;
  tag: string;
}

export function compose({ id, tag }: Line): UIMessage {
  const number = Number(tag.split(".")[1]);
  return {
    id,
    role: number % 2 ? "user" : "assistant",
    ...(number % 3 ? { metadata: { tag } } : undefined),
    // Some are too long to be carried along by a save that appends.
    parts: [{ type: "text", text: tag.padEnd(number % 5 ? 0 : 500, " long") }],
  };
}

/** The lines of stored messages, each of which must be exactly as composed. */
export function linesOf(messages: UIMessage[]): Line[] {
  return messages.map((message) => {
    const [part] = message.parts;
    const line = { id: message.id, tag: part?.type === "text" ? String(part.text.split(" ")[0]) : "" };
    if (JSON.stringify(message) !== JSON.stringify(compose(line))) expect(message).toEqual(compose(line));
    return line;
  });
}

const shared = Array.from({ length: 80 }, (_, index) => `m${index}`);

/** What the save `tag` makes of a conversation: 0 to 40 lines, nearly all under ids that every writer uses. */
export function change(base: Line[], tag: string, { below, chance, pick }: Random): Line[] {
  const unused = shared.filter((id) => base.every((line) => line.id !== id));
  const fresh = (count: number) =>
    unused.slice(0, count).map((id, index) => ({ id: chance(0.1) ? `${tag}.${index}` : id, tag }));
  const rewritten = (count: number) => shared.slice(0, count).map((id) => ({ id, tag }));
  const at = below(base.length);
  const append = () => [...base, ...fresh(1)];
  const changes = [
    append,
    append,
    append,
    () => [...base, ...fresh(2 + below(5))],
    () => [...base.slice(0, -1), ...fresh(1)],
    () => [...base.slice(0, at), ...fresh(1)],
    () => base.map((line, index) => (index === at ? { ...line, tag } : line)),
    () => base.slice(1),
    () => base.toReversed(),
    () => base,
    () => rewritten(below(41)),
    () => rewritten(below(4)),
    () => [],
  ];
  return pick(changes)().slice(-40);
}
