import { createChatClient } from "drizzle-chat-store/client";

/** The client of `app/api/chat`, for all components. */
export const chats = createChatClient();
