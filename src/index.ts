export {
  ChatConflictError,
  ChatOwnershipError,
  ChatStoreError,
  type ChatStoreErrorCode,
  InvalidChatError,
  type InvalidChatIssue,
  MigrationError,
} from "./errors.ts";
export { isRetryable } from "./is-retryable.ts";
export { migrate } from "./migrate.ts";
export { createChatStore } from "./store.ts";
export type {
  Chat,
  ChatDatabase,
  ChatStore,
  ChatStoreOptions,
  ChatWithMessages,
  GetChatInput,
  GetChatsInput,
  MigrateOptions,
  StartTurnInput,
  Turn,
  UpsertChatInput,
} from "./types.ts";
