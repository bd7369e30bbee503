import { createChatClient } from "drizzle-chat-store/client";

/** The client of `app/api/chat`, for all components. */
export const chats = createChatClient();

let newId: string | undefined;

/** Whether this page has just created the chat, so that there is nothing to load. */
export const isNewChat = (chatId: string) => chatId === newId;

export const addressOf = (chatId: string, messageId?: string | null) =>
  `/?${new URLSearchParams({ chatId, ...(messageId && { message: messageId }) })}`;

/** Not with Next's router: if it meets no server, it leaves the page for the browser's error page. */
export function openAddress(address: string) {
  newId = undefined;
  window.history.pushState(null, "", address);
  document.getElementById("chats")?.hidePopover();
}

export function startNewChat() {
  // Browsers have this on https and on localhost only.
  const id = crypto.randomUUID();
  openAddress(addressOf(id));
  newId = id;
}
