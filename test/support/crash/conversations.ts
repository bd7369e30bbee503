import type { UIMessage } from "ai";
import type { Random } from "../random.ts";

/** A message: its id and the name of the save that wrote it, like "w3.17". All else about it follows from these two. */
export interface Line {
  id: string;
  save: string;
}

export const compose = ({ id, save }: Line): UIMessage => ({
  id,
  role: id.endsWith("0") ? "user" : "assistant",
  metadata: { save },
  // Long enough to have several pages of the table written by one save.
  parts: [{ type: "text", text: `${save} `.repeat(100) }],
});

/** The lines of stored messages, each of which must be exactly as composed. */
export function linesOf(messages: UIMessage<unknown>[]): Line[] {
  return messages.map((message) => {
    const metadata = message.metadata as { save?: string } | undefined;
    const line = { id: message.id, save: metadata?.save ?? "?" };
    if (JSON.stringify(message) !== JSON.stringify(compose(line))) {
      throw new Error(`torn: message ${message.id} is ${JSON.stringify(message).slice(0, 200)}`);
    }
    return line;
  });
}

/** What `save` makes of a conversation: each leaves its name in it, so that no two saves have the same content. */
export function change(before: Line[], save: string, random: Random): Line[] {
  const at = random.below(before.length);
  const fresh = (count: number) => Array.from({ length: count }, (_, index) => ({ id: `${save}.${index}`, save }));
  const changes = [
    () => [...before, ...fresh(1)],
    () => [...before, ...fresh(1)],
    () => [...before, ...fresh(4)],
    () => [...before.slice(0, -1), ...fresh(1)],
    () => [...before.slice(0, at), ...fresh(1)],
    () => [...before.map((line, index) => (index === at ? { ...line, save } : line)), ...fresh(1)],
    () => [...before.slice(2), ...fresh(1)],
    () => fresh(6),
  ];
  return random.pick(changes)().slice(-16);
}
