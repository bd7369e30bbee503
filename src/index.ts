export { isRetryable } from "./database/is-retryable.ts";
export {
  ChatConflictError,
  type ChatConflictReason,
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
  ChatMatch,
  ChatMatches,
  ChatWithMessages,
  ClaimChatsInput,
  DeleteAllChatsInput,
  DeleteChatInput,
  DeleteMessageInput,
  ExportChatsInput,
  ForkChatInput,
  GetChatInput,
  GetChatsInput,
  GetMessagesInput,
  MessagePage,
  MigrateOptions,
  ResumeTurnInput,
  SearchChatsInput,
  StartTurnInput,
  StopTurnInput,
  Turn,
  UpdateChatInput,
  UpdateMessageInput,
  UpsertChatInput,
} from "./types.ts";
