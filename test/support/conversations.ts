import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";

/** A message of one text. Its id is new unless given. */
export const say = (role: UIMessage["role"], text: string, id: string = randomUUID()): UIMessage => ({
  id,
  role,
  parts: [{ type: "text", text }],
});

/** What a message says in words. */
export const textOf = (message: UIMessage | undefined) =>
  message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

/** A conversation of `count` messages, with ids "m0", "m1", … and about `size` characters each. */
export const conversation = (count: number, size = 20): UIMessage[] =>
  Array.from({ length: count }, (_, index) =>
    say(index % 2 === 0 ? "user" : "assistant", `message ${index} `.padEnd(size, "abc "), `m${index}`),
  );

/** The last `limit` messages, and those before them up to one of the user: twice as many at most. */
export function windowOf<M extends { role: string }>(messages: M[], limit: number): M[] {
  let length = Math.min(limit, messages.length);
  while (length < Math.min(2 * limit, messages.length) && messages.at(-length)?.role !== "user") length++;
  return messages.slice(messages.length - length);
}
