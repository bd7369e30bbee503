export { isRetryable } from "./database/is-retryable.ts";
export {
  ChatConflictError,
  ChatOwnershipError,
  ChatStoreError,
  type ChatStoreErrorCode,
  InvalidChatError,
  type InvalidChatIssue,
  MigrationError,
} from "./errors.ts";
export { migrate } from "./migrate/migrate.ts";
export { type ChatStore, type ChatStoreOptions, createChatStore } from "./store.ts";
export type {
  Chat,
  ChatDatabase,
  ChatWithMessages,
  GetChatInput,
  GetChatsInput,
  MigrateOptions,
  ResumeTurnInput,
  StartTurnInput,
  StopTurnInput,
  Turn,
  UpsertChatInput,
} from "./types.ts";
