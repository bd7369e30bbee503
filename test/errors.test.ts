// Projects: main, drizzle. Long: postgres.
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ChatConflictError,
  type ChatConflictReason,
  ChatOwnershipError,
  ChatStoreError,
  createChatStore,
  InvalidChatError,
  isRetryable,
  MigrationError,
  migrate,
} from "../src/index.ts";
import { say } from "./support/conversations.ts";
import { databases, type TestDatabase } from "./support/databases.ts";

/** The innermost cause, where the driver's fields are. */
const rootOf = (error: unknown): Error & Record<string, unknown> => {
  const { cause } = error as Error;
  return cause === undefined ? (error as never) : rootOf(cause);
};

const errors = [
  new ChatOwnershipError({ chatId: "c" }),
  new ChatConflictError({ reason: "version", chatId: "c", expectedVersion: 3, actualVersion: 4 }),
  new InvalidChatError([{ path: ["messages", 3, "id"], message: "expected something else" }]),
  new MigrationError({ migration: "0000_chats", reason: "It failed." }),
];

describe("errors", () => {
  test.each(errors)("$name is a ChatStoreError and none of the other subclasses", (error) => {
    expect(error).toBeInstanceOf(ChatStoreError);
    expect(ChatStoreError.isInstance(error)).toBe(true);
    const leaves = [ChatOwnershipError, ChatConflictError, InvalidChatError, MigrationError];
    expect(leaves.filter((leaf) => leaf.isInstance(error)).map((leaf) => leaf.name)).toEqual([error.name]);
  });

  test("errors are recognised across two copies of the package", async () => {
    // A query makes it another module instance: what an application gets when two versions are installed.
    const copy: typeof import("../src/errors/errors.ts") = await import(`../src/errors/errors.ts?${"copy"}`);
    const error = new copy.ChatOwnershipError({ chatId: "c" });
    expect(error).not.toBeInstanceOf(ChatOwnershipError);
    expect(ChatOwnershipError.isInstance(error)).toBe(true);
    expect(ChatStoreError.isInstance(error)).toBe(true);
    expect(ChatConflictError.isInstance(error)).toBe(false);
  });

  test("isInstance is false for other values", () => {
    for (const other of [undefined, null, "CHAT_NOT_OWNED", { code: "CHAT_NOT_OWNED" }, new Error("CHAT_NOT_OWNED")]) {
      expect(ChatStoreError.isInstance(other)).toBe(false);
      expect(ChatOwnershipError.isInstance(other)).toBe(false);
    }
  });

  test("error messages name the found value, the expected value and the next step", () => {
    expect(errors.map((error) => error.message)).toMatchInlineSnapshot(`
      [
        "Chat "c" belongs to another user, so nothing was changed. Expected the userId that created it: check that userId is the signed-in user's, or use a new chatId.",
        "Chat "c" is at version 4, expected version 3, so nothing was changed. Load it again with getChat, apply your change to that, and save with its version.",
        "Nothing was changed, because the input is not valid.
      - messages[3].id: expected something else",
        "It failed. Nothing was changed.",
      ]
    `);
  });

  test("the message of a conflict gives the advice that belongs to its reason", () => {
    const messageOf = (reason: ChatConflictReason, expectedVersion: number | null, actualVersion: number | null) =>
      new ChatConflictError({ reason, chatId: "c", expectedVersion, actualVersion }).message;
    expect([
      messageOf("superseded", 3, 4),
      messageOf("gone", 3, null),
      messageOf("gone", 3, 4),
      messageOf("approval", null, 4),
      messageOf("id-taken", null, 4),
    ]).toMatchInlineSnapshot(`
      [
        "A later turn, a later change or turn.fail() superseded this turn of chat "c", so its answer was not stored. Expected the current turn of its question. Do not retry: load the chat again to show the newer state.",
        "Chat "c" does not exist, expected version 3, so nothing was changed. It was deleted or never created. Do not retry: show that it is gone. A save without expectedVersion creates it.",
        "Chat "c" no longer has the message that this turn answers or continues, so the answer was not stored. Expected it in the chat. Do not retry: load the chat again to show its present messages.",
        "Another turn of chat "c" has acted, or is acting, on the same answers to tool calls, so nothing was changed. Expected calls that are still pending. Do not retry: load the chat again, or call resumeTurn, to show the answer of that turn.",
        "Chat "c" exists already, so nothing was changed. Expected an id that is new: use another one, or check with getChat whether an earlier attempt made this chat.",
      ]
    `);
  });
});

describe.each(databases)("a failing database on $name", ({ open }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await open({ empty: true });
  });
  afterAll(() => database.close());

  test("every method says to run migrate when there are no tables", async () => {
    const store = createChatStore(database.db);
    const attempts = [
      () => store.upsertChat({ userId: "u", chatId: "c", messages: [] }),
      () => store.getChat({ userId: "u", chatId: "c" }),
      () => store.getChats({ userId: "u" }),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toMatchObject({
        code: "NOT_MIGRATED",
        message: expect.stringMatching(/await migrate\(db\).*If you have done that, `npx drizzle-chat-store doctor`/),
      });
    }
  });

  test.each(["insert into no_such_table values (1)", "new.no_such_column = 1"])(
    "the store reports a trigger that fails on `%s` as a failed query, not as missing tables",
    async (statement) => {
      await migrate(database.db);
      await database.query(`create or replace function chat_store.broken() returns trigger language plpgsql as
        $$ begin ${statement}; return new; end $$`);
      await database.query(
        "create trigger broken before insert on chat_store.chats for each row execute function chat_store.broken()",
      );
      try {
        const store = createChatStore(database.db);
        await expect(store.upsertChat({ userId: "u", chatId: "c", messages: [] })).rejects.toMatchObject({
          code: "QUERY_FAILED",
        });
      } finally {
        await database.query("drop trigger broken on chat_store.chats");
      }
    },
  );

  test("the error shows the driver's codes as its cause, keeps the driver's error beside it, and shows no chat content", async () => {
    await migrate(database.db);
    await database.query("alter table chat_store.messages add constraint broken check (role <> 'user')");
    const store = createChatStore(database.db);
    const error: unknown = await store
      .upsertChat({ userId: "u", chatId: "c", title: "secret title", messages: [say("user", "secret words")] })
      .catch((thrown: unknown) => thrown);

    if (!ChatStoreError.isInstance(error)) throw error;
    expect(error).toMatchObject({ code: "QUERY_FAILED", message: expect.stringContaining("23514") });
    expect(`${error.message}${error.stack}${inspect(error, { depth: null, showHidden: true })}`).not.toMatch(/secret/);
    const cause = rootOf(error.cause);
    expect(cause).toMatchObject({ code: "23514", severity: "ERROR", routine: "ExecConstraints" });
    expect([cause.constraint ?? cause.constraint_name, cause.table ?? cause.table_name]).toEqual([
      "broken",
      "messages",
    ]);
    expect(cause).toBeInstanceOf(Error);
    expect(cause.stack).toMatch(/\n {4}at /);
    expect(inspect(error.originalCause, { depth: null })).toContain("secret words");
    expect(isRetryable(error)).toBe(false);
    expect(await database.query("select 1 from chat_store.chats")).toEqual([]);
  });
});
