import { isRetryable } from "./is-retryable.ts";
import { isStoreError, storeErrorMarker } from "./is-store-error.ts";
import { type Redaction, redactCause } from "./redact-cause.ts";

/** Every error this package throws carries one of these in `code`. */
export type ChatStoreErrorCode =
  | "CHAT_NOT_OWNED"
  | "CHAT_CONFLICT"
  | "INVALID_CHAT"
  | "MIGRATION_FAILED"
  | "NOT_MIGRATED"
  | "QUERY_FAILED";

/**
 * The base class of all errors of this package. Thrown itself when the database refuses a statement (`QUERY_FAILED`) or
 * has no tables yet (`NOT_MIGRATED`).
 *
 * `message`, `stack` and `cause` contain neither chat content nor user ids, so that you may log the error.
 */
export class ChatStoreError extends Error {
  override readonly name: string = "ChatStoreError";
  readonly code: ChatStoreErrorCode;
  /**
   * A redacted copy of {@link originalCause}: its class, stack frames, and Postgres's `code`, `constraint`, `table` and
   * the like. It leaves out messages of drivers and Postgres's `detail`, because they may contain chat content.
   */
  declare readonly cause?: unknown;
  readonly #originalCause: unknown;

  constructor(code: ChatStoreErrorCode, message: string, options?: ErrorOptions) {
    const hasCause = options?.cause !== undefined;
    super(message, hasCause ? { cause: redactCause(options.cause, redactionOf[code]) } : undefined);
    this.code = code;
    this.#originalCause = options?.cause;
    // Only of the database's errors: reading other causes may throw.
    const mark = { isRetryable: code === "QUERY_FAILED" && isRetryable(options?.cause) };
    Object.defineProperty(this, storeErrorMarker, { value: mark });
  }

  /**
   * The unredacted error of the driver. It may contain chat content. Loggers, inspectors and serialisers do not show
   * it, because it is a getter over a private field. Read it in a debugger.
   */
  get originalCause(): unknown {
    return this.#originalCause;
  }

  /** Like `instanceof`, but also true for an error from another copy of this package. */
  static isInstance(error: unknown): error is ChatStoreError {
    return isStoreError(error);
  }
}

/** The chat belongs to another user. Nothing was changed. */
export class ChatOwnershipError extends ChatStoreError {
  override readonly name = "ChatOwnershipError";
  readonly chatId: string;

  constructor({ chatId }: { chatId: string }) {
    super(
      "CHAT_NOT_OWNED",
      `Chat ${quote(chatId)} belongs to another user, so nothing was changed. ` +
        "Expected the userId that created it: check that userId is the signed-in user's, or use a new chatId.",
    );
    this.chatId = chatId;
  }

  static override isInstance(error: unknown): error is ChatOwnershipError {
    return isStoreError(error, "CHAT_NOT_OWNED");
  }
}

/**
 * Why a call conflicts with another writer:
 *
 * - `"version"`: the chat is not at `expectedVersion`. Load it again with `getChat`, apply the change, save with that
 *   version.
 * - `"superseded"`: a later turn, a later change or `turn.fail()` took this turn's place. Do not retry; reload to show
 *   the newer state.
 * - `"gone"`: there is no such chat, or it no longer has the message that the turn answers or continues. Do not
 *   retry.
 * - `"approval"`: another turn has acted, or is acting, on the same answers to tool calls. Reload or resume to show its
 *   answer.
 * - `"id-taken"`: the user has a chat under `forkChat`'s new id already.
 */
export type ChatConflictReason = "version" | "superseded" | "gone" | "approval" | "id-taken";

/** Another writer came first: {@link reason} says how, and `message` what to do. Nothing was changed. */
export class ChatConflictError extends ChatStoreError {
  override readonly name = "ChatConflictError";
  readonly reason: ChatConflictReason;
  readonly chatId: string;
  /** `null` where none was expected. */
  readonly expectedVersion: number | null;
  /** The stored version; `null` when there is no such chat. */
  readonly actualVersion: number | null;

  constructor(facts: {
    reason: ChatConflictReason;
    chatId: string;
    expectedVersion: number | null;
    actualVersion: number | null;
  }) {
    super("CHAT_CONFLICT", conflictMessages[facts.reason](facts));
    this.reason = facts.reason;
    this.chatId = facts.chatId;
    this.expectedVersion = facts.expectedVersion;
    this.actualVersion = facts.actualVersion;
  }

  static override isInstance(error: unknown): error is ChatConflictError {
    return isStoreError(error, "CHAT_CONFLICT");
  }
}

type ConflictFacts = Pick<ChatConflictError, "chatId" | "expectedVersion" | "actualVersion">;

/** `expectedVersion` was given, and the chat has another version, or does not exist. */
export const versionConflict = (facts: ConflictFacts): ChatConflictError =>
  new ChatConflictError({ ...facts, reason: facts.actualVersion === null ? "gone" : "version" });

/** What was found, what was expected, and what to do. */
const conflictMessages: Record<ChatConflictReason, (facts: ConflictFacts) => string> = {
  version: ({ chatId, expectedVersion, actualVersion }) =>
    `Chat ${quote(chatId)} is at version ${actualVersion}, expected version ${expectedVersion}, so nothing was ` +
    "changed. Load it again with getChat, apply your change to that, and save with its version.",
  superseded: ({ chatId }) =>
    `A later turn, a later change or turn.fail() superseded this turn of chat ${quote(chatId)}, so its answer was ` +
    "not stored. Expected the current turn of its question. Do not retry: load the chat again to show the newer state.",
  gone: ({ chatId, expectedVersion, actualVersion }) =>
    actualVersion === null
      ? `Chat ${quote(chatId)} does not exist, expected version ${expectedVersion}, so nothing was changed. ` +
        "It was deleted or never created. Do not retry: show that it is gone. A save without expectedVersion creates it."
      : `Chat ${quote(chatId)} no longer has the message that this turn answers or continues, so the answer was ` +
        "not stored. Expected it in the chat. Do not retry: load the chat again to show its present messages.",
  approval: ({ chatId }) =>
    `Another turn of chat ${quote(chatId)} has acted, or is acting, on the same answers to tool calls, so nothing was ` +
    "changed. Expected calls that are still pending. Do not retry: load the chat again, or call resumeTurn, to show " +
    "the answer of that turn.",
  "id-taken": ({ chatId }) =>
    `Chat ${quote(chatId)} exists already, so nothing was changed. Expected an id that is new: use another one, or ` +
    "check with getChat whether an earlier attempt made this chat.",
};

/** One problem of an input: where it is, and what was found and expected there. */
export interface InvalidChatIssue {
  /** The path in the input, such as `["messages", 3, "id"]`. Empty for the input itself. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The input cannot be stored. Nothing was changed. */
export class InvalidChatError extends ChatStoreError {
  override readonly name = "InvalidChatError";
  /** At least one. */
  readonly issues: readonly InvalidChatIssue[];

  constructor(issues: readonly InvalidChatIssue[], options?: ErrorOptions) {
    const lines = issues.map(({ path, message }) => `${formatPath(path)}: ${message}`);
    super("INVALID_CHAT", `Nothing was changed, because the input is not valid.\n- ${lines.join("\n- ")}`, options);
    this.issues = issues;
  }

  static override isInstance(error: unknown): error is InvalidChatError {
    return isStoreError(error, "INVALID_CHAT");
  }
}

/** `migrate` failed. Nothing was changed. */
export class MigrationError extends ChatStoreError {
  override readonly name = "MigrationError";
  /** The name of the migration that failed or is unknown; `null` if the error occurred before the first one. */
  readonly migration: string | null;

  constructor({ migration, reason, cause }: { migration: string | null; reason: string; cause?: unknown }) {
    super("MIGRATION_FAILED", `${reason} Nothing was changed.`, cause === undefined ? undefined : { cause });
    this.migration = migration;
  }

  static override isInstance(error: unknown): error is MigrationError {
    return isStoreError(error, "MIGRATION_FAILED");
  }
}

/** Reading an input may throw anything. The statements of migrations have no values. */
const redactionOf: Record<ChatStoreErrorCode, Redaction> = {
  CHAT_NOT_OWNED: "all",
  CHAT_CONFLICT: "all",
  INVALID_CHAT: "all",
  MIGRATION_FAILED: "none",
  NOT_MIGRATED: "message",
  QUERY_FAILED: "message",
};

const quote = (text: string) => JSON.stringify(text);

const formatPath = (path: InvalidChatIssue["path"]) =>
  path.length === 0
    ? "input"
    : path.map((key, depth) => (typeof key === "number" ? `[${key}]` : depth === 0 ? key : `.${key}`)).join("");
