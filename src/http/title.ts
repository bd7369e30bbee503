import type { UIMessage } from "ai";
import { toTitle } from "../title.ts";
import type { Chat, ChatStore } from "../types.ts";
import type { HandlerSettings } from "./options.ts";

/** In characters, with the ellipsis. */
const maxLength = 80;

/** The question's text on one line, cut. */
export function titleOf(message: unknown): string {
  const { parts } = message as UIMessage;
  // Nothing has checked the parts of a message that is not the user's.
  const texts = Array.isArray(parts) ? parts.map((part) => (part?.type === "text" ? part.text : "")) : [];
  return cut(texts.filter((text) => typeof text === "string").join(" "), maxLength);
}

function cut(text: string, length: number): string {
  // Long enough for any title, so that a text of a megabyte costs no more than one of a line.
  const characters = Array.from(toTitle(text.slice(0, 5_000)));
  return characters.length > length ? `${toTitle(characters.slice(0, length - 1).join(""))}…` : characters.join("");
}

/** Replaces the title that a new chat got from its question, unless the user has renamed the chat in the meantime. */
export async function generateTitle(
  store: ChatStore,
  generate: Exclude<HandlerSettings["title"], false | undefined>,
  chat: Chat,
  question: UIMessage,
): Promise<void> {
  const { userId, id: chatId, title: expectedTitle } = chat;
  const generated = await generate(question, { userId });
  if (typeof generated !== "string") throw new TypeError("The option title returned no string.");
  // A title has at most 1,000 UTF-16 units, and a character has one or two.
  const title = cut(generated, 500);
  if (title !== "") await store.updateChat({ userId, chatId, title, expectedTitle });
}
