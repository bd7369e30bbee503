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

/** What the model is given with `limit`: the last messages, without those before the first one of the user among them. */
export function windowOf<M extends { role: string }>(messages: M[], limit: number): M[] {
  const last = messages.slice(Math.max(messages.length - limit, 0));
  while (last.some(({ role }) => role === "user") && last[0]?.role !== "user") last.shift();
  return last;
}
