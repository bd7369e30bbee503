// Projects: main. Long: node, postgres.
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, InvalidChatError } from "../src/index.ts";
import { conversation, say } from "./support/conversations.ts";
import { servers, type TestDatabase } from "./support/databases.ts";

const [nodePostgres] = servers as [(typeof servers)[number]];

describe("invalid input", () => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await nodePostgres.open();
    store = createChatStore(database.db);
    await store.upsertChat({ userId: "u", chatId: "c", title: "Stored", messages: conversation(3) });
  });
  afterAll(() => database.close());

  const everything = async () => ({
    chats: await database.query("select *, xmin::text from chat_store.chats order by id"),
    messages: await database.query("select *, xmin::text from chat_store.messages order by chat_id, id"),
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = { again: [cycle] };
  const nested = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
  // From Node 26 on JSON.stringify has no limit, and Postgres, which is the next to have one, does not say where.
  let nestedAt: (string | number)[] = [];
  try {
    JSON.stringify(nested);
  } catch {
    nestedAt = ["messages", 1, "parts"];
  }
  const output = (value: unknown) => [
    say("user", "first"),
    {
      id: "tool",
      role: "assistant",
      parts: [
        { type: "text", text: "secret words" },
        { type: "tool-x", output: value },
      ],
    },
  ];

  const badText = [undefined, null, 7, {}, [], "", "x".repeat(256), "a\0b", "a\ud800b", "\udc00"];
  const valid = { userId: "u", chatId: "c", messages: conversation(3) };
  const cases: [string, object | undefined | null, (string | number)[]][] = [
    ["no input", undefined, []],
    ["null", null, []],
    ...badText.map((userId): [string, object, string[]] => ["a bad userId", { ...valid, userId }, ["userId"]]),
    ...badText.map((chatId): [string, object, string[]] => ["a bad chatId", { ...valid, chatId }, ["chatId"]]),
    ...[null, 7, "x".repeat(1_001), "a\0b", "a\ud800"].map((title): [string, object, string[]] => [
      "a bad title",
      { ...valid, title },
      ["title"],
    ]),
    ...[0, -1, 1.5, Number.NaN, 2 ** 31, "1", null].map((expectedVersion): [string, object, string[]] => [
      "a bad expectedVersion",
      { ...valid, expectedVersion },
      ["expectedVersion"],
    ]),
    ["missing messages", { userId: "u", chatId: "c" }, ["messages"]],
    ["messages that are one message", { ...valid, messages: say("user", "x") }, ["messages"]],
    ["a hole in the messages", { ...valid, messages: new Array(2) }, ["messages", 0]],
    ["a message that is a string", { ...valid, messages: ["hello"] }, ["messages", 0]],
    ...badText.map((id): [string, object, (string | number)[]] => [
      "a bad message id",
      { ...valid, messages: [say("user", "x"), { ...say("assistant", "secret words"), id }] },
      ["messages", 1, "id"],
    ]),
    [
      "a repeated message id",
      { ...valid, messages: [...conversation(3), say("user", "x", "m1")] },
      ["messages", 3, "id"],
    ],
    ["a missing role", { ...valid, messages: [{ id: "x", parts: [] }] }, ["messages", 0, "role"]],
    ["an empty role", { ...valid, messages: [{ id: "x", role: "", parts: [] }] }, ["messages", 0, "role"]],
    ["a role with NUL", { ...valid, messages: [{ id: "x", role: "\0", parts: [] }] }, ["messages", 0, "role"]],
    [
      "content instead of parts",
      { ...valid, messages: [{ id: "x", role: "user", content: "hi" }] },
      ["messages", 0, "parts"],
    ],
    [
      "parts that are an object",
      { ...valid, messages: [{ id: "x", role: "user", parts: {} }] },
      ["messages", 0, "parts"],
    ],
    ["a BigInt", { ...valid, messages: output([{ total: 12n }]) }, ["messages", 1, "parts", 1, "output", 0, "total"]],
    ["a cycle", { ...valid, messages: output(cycle) }, ["messages", 1, "parts", 1, "output", "self", "again", 0]],
    ["endless nesting", { ...valid, messages: output(nested) }, nestedAt],
    [
      "a BigInt in metadata",
      { ...valid, messages: [{ ...say("user", "x"), metadata: { at: 1n } }] },
      ["messages", 0, "metadata", "at"],
    ],
    [
      "a function as metadata",
      { ...valid, messages: [{ ...say("user", "x"), metadata: () => 1 }] },
      ["messages", 0, "metadata"],
    ],
    [
      "parts that turn themselves into something else",
      { ...valid, messages: [{ ...say("user", "x"), parts: Object.assign([], { toJSON: () => "gone" }) }] },
      ["messages", 0, "parts"],
    ],
    [
      "a getter that throws",
      {
        ...valid,
        get title() {
          throw new Error("secret words");
        },
      },
      [],
    ],
  ];

  test.each(cases)("upsertChat refuses %s, names its place, and changes nothing", async (_, input, path) => {
    const before = await everything();
    // What arrives at run time from JavaScript or from a request's body does not keep to the types.
    const error: unknown = await store.upsertChat(input as never).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(InvalidChatError);
    expect(InvalidChatError.isInstance(error) && error.issues).toContainEqual({
      path,
      message: expect.stringMatching(/expected|JSON|holds|nested/),
    });
    expect(String((error as Error).stack)).not.toContain("secret words");
    expect(await everything()).toEqual(before);
  });

  test.each(badText.map((text) => [text]))(
    "getChat and getChats refuse the userId %j, and getChat refuses it as a chatId",
    async (text) => {
      const bad = text as string;
      await expect(store.getChat({ userId: bad, chatId: "c" })).rejects.toMatchObject({
        issues: [{ path: ["userId"] }],
      });
      await expect(store.getChat({ userId: "u", chatId: bad })).rejects.toMatchObject({
        issues: [{ path: ["chatId"] }],
      });
      await expect(store.getChats({ userId: bad })).rejects.toMatchObject({ issues: [{ path: ["userId"] }] });
    },
  );

  test.each([0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, "10", null])(
    "getChats refuses the limit %j",
    async (limit) => {
      await expect(store.getChats({ userId: "u", limit: limit as number })).rejects.toMatchObject({
        code: "INVALID_CHAT",
        issues: [{ path: ["limit"] }],
      });
    },
  );

  test.each([
    ["a date as text", { id: "c", updatedAt: "2026-01-01" }, ["before", "updatedAt"]],
    ["an invalid date", { id: "c", updatedAt: new Date(Number.NaN) }, ["before", "updatedAt"]],
    ["a date Postgres cannot read", { id: "c", updatedAt: new Date(8.64e15) }, ["before", "updatedAt"]],
    ["no id", { updatedAt: new Date() }, ["before", "id"]],
    ["a chat id", "c", ["before"]],
  ])("getChats refuses to go on after %s", async (_, before, path) => {
    await expect(store.getChats({ userId: "u", before: before as never })).rejects.toMatchObject({
      issues: [{ path }],
    });
  });

  test("resumeTurn and stopTurn refuse invalid ids and versions", async () => {
    const ids = { userId: "u", chatId: "c" };
    const calls = [
      ...badText.flatMap((bad) => [
        { input: { ...ids, userId: bad }, path: "userId", method: store.resumeTurn },
        { input: { ...ids, chatId: bad }, path: "chatId", method: store.resumeTurn },
        { input: { ...ids, userId: bad }, path: "userId", method: store.stopTurn },
        { input: { ...ids, chatId: bad }, path: "chatId", method: store.stopTurn },
        ...(bad === undefined
          ? []
          : [{ input: { ...ids, messageId: bad }, path: "messageId", method: store.stopTurn }]),
      ]),
      ...[0, -1, 1.5, Number.NaN, 2 ** 31, "1", null].map((version) => ({
        input: { ...ids, version },
        path: "version",
        method: store.resumeTurn,
      })),
    ];
    for (const { input, path, method } of calls) {
      await expect(method(input as never), JSON.stringify(input)).rejects.toMatchObject({
        code: "INVALID_CHAT",
        issues: [{ path: [path] }],
      });
    }
  });

  test("the error for an empty or a repeated message id names its likely cause", async () => {
    const upsert = (messages: UIMessage[]) => store.upsertChat({ ...valid, messages });
    await expect(upsert([say("assistant", "x", "")])).rejects.toThrow(
      /messages\[0\]\.id: .*generateMessageId.*an empty string/,
    );
    await expect(upsert([say("user", "x", "1"), say("user", "y", "1")])).rejects.toThrow(
      /messages\[1\]\.id: .*spliced wrongly/,
    );
  });

  test("one error lists all invalid fields", async () => {
    await expect(store.upsertChat({ userId: "", chatId: "", messages: [say("user", "x", "")] })).rejects.toMatchObject({
      issues: [{ path: ["userId"] }, { path: ["chatId"] }, { path: ["messages", 0, "id"] }],
    });
  });

  test.each(["portable", "rowLevelSecurity"])("createChatStore accepts only true and false for %s", (name) => {
    const create = () => createChatStore(database.db, { [name]: "yes" });
    expect(create).toThrow(InvalidChatError);
    expect(create).toThrow(`${name}: expected true, false or undefined, found a string of 3 characters`);
  });

  test("the store accepts ids of 255 characters in any script, and titles of 1,000", async () => {
    const ids = { userId: "語".repeat(255), chatId: "é".repeat(255) };
    const messages = [say("user", "x", "語".repeat(255))];
    const chat = await store.upsertChat({ ...ids, title: "題".repeat(1_000), messages });
    expect(await store.getChat(ids)).toEqual({ ...chat, messages });
  });
});
