import type { UIMessage } from "ai";
import type { Chat } from "../types.ts";
import type { HandlerSettings } from "./options.ts";

/** In characters, with the ellipsis. */
const maxLength = 80;

/** The question's text on one line, cut. */
export function titleOf(message: unknown): string {
  const { parts } = message as UIMessage;
  // Nothing has checked the parts of a message that is not the user's.
  const texts = Array.isArray(parts) ? parts.map((part) => (part?.type === "text" ? part.text : "")) : [];
  return toTitle(texts.filter((text) => typeof text === "string").join(" "), maxLength);
}

/** As it can be stored: a title is one line, and Postgres texts have no NUL and no unpaired surrogate. */
function toTitle(text: string, length: number): string {
  const line = text
    // Long enough for any title, so that a text of a megabyte costs no more than one of a line.
    .slice(0, 5_000)
    .toWellFormed()
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
  const characters = Array.from(line);
  return characters.length > length
    ? `${characters
        .slice(0, length - 1)
        .join("")
        .trimEnd()}…`
    : line;
}

/** Replaces the title that a new chat got from its question, unless the user has renamed the chat in the meantime. */
export async function generateTitle(
  { store, title: generate }: HandlerSettings,
  chat: Chat,
  question: UIMessage,
): Promise<void> {
  if (!generate) return;
  const { userId, id: chatId, title: expectedTitle } = chat;
  const title = await generate(question, { userId });
  if (typeof title !== "string") throw new TypeError("The option title returned no string.");
  // A title has at most 1,000 UTF-16 units, and a character has one or two.
  const cut = toTitle(title, 500);
  if (cut !== "") await store.updateChat({ userId, chatId, title: cut, expectedTitle });
}
