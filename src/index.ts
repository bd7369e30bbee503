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
  ResumeTurnInput,
  StartTurnInput,
  StopTurnInput,
  Turn,
  UpsertChatInput,
} from "./types.ts";
