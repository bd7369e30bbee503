import { z } from "zod";

/**
 * What a client may send: a question of text. The store keeps parts of any kind, so whoever lets more in (files, answers
 * to tool calls) checks here that the model can be given it. What it cannot be given would fail in every later turn, too.
 */
export const question = z.object({
  id: z.string(),
  role: z.literal("user"),
  parts: z.array(z.object({ type: z.literal("text"), text: z.string().min(1) })).min(1),
});

export const chatRequest = z.object({
  id: z.string(),
  message: question,
  // What the SDK's transport says of the request: a question, one asked again, or one edited.
  trigger: z.enum(["submit-message", "regenerate-message"]).optional(),
  messageId: z.string().optional(),
});

/** The start of the first question. */
export function titleOf({ parts }: z.infer<typeof question>): string {
  const text = parts.map(({ text }) => text).join(" ");
  // A title is one line, and cannot hold NUL or half of a surrogate pair.
  const line = text
    .toWellFormed()
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
  const [start = ""] = line.match(/^.{0,60}/u) ?? [];
  return start === line ? line || "New chat" : `${start}…`;
}
