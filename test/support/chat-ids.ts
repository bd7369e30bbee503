import { randomUUID } from "node:crypto";

let count = 0;

/** An id that sorts behind the earlier ones: chats that are stored in the same millisecond are listed by their ids. */
export const nextChatId = () => `${String(++count).padStart(6, "0")}-${randomUUID()}`;
