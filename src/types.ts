export type * from "./types/branches.ts";
export type * from "./types/chats.ts";
export type * from "./types/database.ts";
export type * from "./types/messages.ts";
export type * from "./types/store.ts";
export type * from "./types/turns.ts";
