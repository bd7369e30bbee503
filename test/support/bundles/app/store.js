// The whole package, for its size.
export { createChatStore, migrate } from "drizzle-chat-store";
