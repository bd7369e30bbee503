// Projects: main, drivers, postgres, tables, drizzle. Long: sessions.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatConflictError, type ChatStore, type ExportedChat, type Turn } from "../../src/index.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { say, textOf } from "../support/conversations.ts";
import { databases, databasesWithoutTransactions, inModes, type TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

const kinds = [...inModes(databases), ...inModes(databasesWithoutTransactions), ...underRowLevelSecurity];

describe.each(kinds)("Branches on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db, { branches: true });
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: "u", chatId: randomUUID() });
  type Ids = ReturnType<typeof newIds>;
  const messagesOf = async (ids: Ids) => (await store.getChat(ids))?.messages ?? [];
  const shown = async (ids: Ids) => (await messagesOf(ids)).map((message) => textOf(message));
  const end = async (turn: Turn, text: string) => {
    const id = turn.persist.generateMessageId();
    await turn.persist.onEnd({ responseMessage: say("assistant", text, id) });
    return id;
  };
  const ask = async (ids: Ids, text: string, answer: string, id?: string) =>
    end(await store.startTurn({ ...ids, message: say("user", text, id) }), answer);
  const regenerate = async (ids: Ids, question: UIMessage, answer: string) =>
    end(await store.startTurn({ ...ids, message: question, trigger: "regenerate-message" }), answer);
  const edit = async (ids: Ids, id: string, text: string, answer: string) => {
    const message = say("user", text, id);
    return end(await store.startTurn({ ...ids, message, trigger: "submit-message", messageId: id }), answer);
  };
  /** The process of the turn dies when its answer has these words. */
  async function die(ids: Ids, turn: Turn, words: string) {
    const chunks = [
      { type: "start", messageId: turn.persist.generateMessageId() },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: words },
    ];
    await turn.consumeSseStream({ stream: ReadableStream.from(chunks.map(toSseEvent)) });
    await database.query(
      "update chat_store.turns set beat_at = 'epoch' where chat_id = $1 and chunks > 0 and ended_at is null",
      [ids.chatId],
    );
  }
  /** `after: position/count (positions of the others)`, with the texts of messages for their ids. */
  async function points(ids: Ids) {
    const texts = new Map((await messagesOf(ids)).map((message) => [message.id, textOf(message)]));
    return (await store.getBranches(ids)).map(
      ({ afterMessageId, position, count, branches }) =>
        `${afterMessageId === null ? "beginning" : texts.get(afterMessageId)}: ${position}/${count} (${branches.map(
          ({ position, messageCount }) => `${position}: ${messageCount}`,
        )})`,
    );
  }
  const switchTo = async (ids: Ids, position: number, point = 0) => {
    const found = (await store.getBranches(ids))[point]?.branches.find((branch) => branch.position === position);
    return store.switchBranch({ ...ids, branchId: found?.id ?? expect.fail("there is no such branch") });
  };

  test("an answer that is generated again is kept, under its number, and comes back as it was", async () => {
    const ids = newIds();
    const question = say("user", "1?", "q1");
    await ask(ids, "1?", "1a", "q1");
    await ask(ids, "2?", "2a", "q2");
    const before = await store.getMessages({ ...ids, limit: 10 });
    await regenerate(ids, question, "1b");
    expect(await shown(ids)).toEqual(["1?", "1b"]);
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 3)"]);
    await regenerate(ids, question, "1c");
    expect(await points(ids)).toEqual(["1?: 3/3 (1: 3,2: 1)"]);

    const { version } = (await store.getChat(ids)) ?? {};
    expect(await switchTo(ids, 1)).toMatchObject({ id: ids.chatId, version: Number(version) + 1 });
    const after = await store.getMessages({ ...ids, limit: 10 });
    expect(after?.messages).toEqual(before?.messages);
    expect(after?.sentAt).toEqual(before?.sentAt);
    expect(await points(ids)).toEqual(["1?: 1/3 (2: 1,3: 1)"]);
    await switchTo(ids, 3);
    expect(await shown(ids)).toEqual(["1?", "1c"]);
    expect(await points(ids)).toEqual(["1?: 3/3 (1: 3,2: 1)"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "1b"]);
    await regenerate(ids, question, "1d");
    expect(await points(ids)).toEqual(["1?: 4/4 (1: 3,2: 1,3: 1)"]);
  });

  test("an edit keeps the question and what followed; alternatives of its old words go with it", async () => {
    const ids = newIds();
    await ask(ids, "Hi", "Hello.", "q0");
    await ask(ids, "Old?", "a", "q1");
    await regenerate(ids, say("user", "Old?", "q1"), "b");
    expect(await points(ids)).toEqual(["Old?: 2/2 (1: 1)"]);
    await edit(ids, "q1", "New?", "c");
    expect(await shown(ids)).toEqual(["Hi", "Hello.", "New?", "c"]);
    expect(await points(ids)).toEqual(["Hello.: 2/2 (1: 2)"]);
    await regenerate(ids, say("user", "New?", "q1"), "d");
    expect(await points(ids)).toEqual(["Hello.: 2/2 (1: 2)", "New?: 2/2 (1: 1)"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["Hi", "Hello.", "Old?", "b"]);
    expect(await points(ids)).toEqual(["Hello.: 1/2 (2: 2)", "Old?: 2/2 (1: 1)"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["Hi", "Hello.", "New?", "d"]);
    expect(await points(ids)).toEqual(["Hello.: 2/2 (1: 2)", "New?: 2/2 (1: 1)"]);
  });

  test("an edit of the first question is an alternative of the beginning, also in a window", async () => {
    const ids = newIds();
    await ask(ids, "Old?", "a", "q0");
    const message = say("user", "New?", "q0");
    const turn = await store.startTurn({ ...ids, message, trigger: "submit-message", messageId: "q0", limit: 1 });
    expect(await points(ids)).toEqual(["beginning: 2/2 (1: 2)"]);
    await end(turn, "b");
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["Old?", "a"]);
    expect(await points(ids)).toEqual(["beginning: 1/2 (2: 2)"]);
  });

  test("parts, metadata and times come back byte for byte, also what direct SQL has written", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    const texts = [
      ['[{"type":"text","text":"\\u0000 \\ud800 é \\" \\\\ "}]', "null"],
      ['[ {"b" : 1.0, "b":2, "a":1e400} ]', '{"z":1,\n"a":"\\u0000"}'],
      ["[]", null],
    ];
    for (const [index, [parts, metadata]] of texts.entries()) {
      await database.query(
        `insert into chat_store.messages (chat_id, id, "order", role, parts, metadata, created_at)
         values ($1, $2, $3, 'assistant', $4::text::json, $5::text::json, '2001-02-03 04:05:06.789+00')`,
        [ids.chatId, `x"${index}`, 7 + index * 3, parts, metadata],
      );
    }
    const read = () =>
      database.query(
        `select id, role, parts::text, metadata::text, created_at::text, encode(digest, 'hex') as digest
         from chat_store.messages where chat_id = $1 order by "order"`,
        [ids.chatId],
      );
    const before = await read();
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await switchTo(ids, 1);
    expect(await read()).toEqual(before);
  });

  test("an answer keeps what it replaces, and what others have added stays with it", async () => {
    const ids = newIds();
    await ask(ids, "1?", "1a", "q1");
    await ask(ids, "2?", "2a", "q2");
    await regenerate(ids, say("user", "2?", "q2"), "2b");
    await end(await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "submit-message" }), "1b");
    expect(await shown(ids)).toEqual(["1?", "1b", "2?", "2b"]);
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)", "2?: 2/2 (1: 1)"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "1a"]);
    expect(await points(ids)).toEqual(["1?: 1/2 (2: 3)"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "1b", "2?", "2b"]);
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)", "2?: 2/2 (1: 1)"]);
  });

  test("an answer that is stored under the id of the one that it replaces keeps that one", async () => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), say("assistant", "a", "own")] });
    const turn = await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "regenerate-message" });
    await turn.persist.onEnd({ responseMessage: say("assistant", "b", "own") });
    expect(await shown(ids)).toEqual(["1?", "b"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "a"]);
  });

  test("an edit keeps the old question where direct SQL has left a gap before it", async () => {
    const ids = newIds();
    await ask(ids, "1?", "1a", "q1");
    await store.startTurn({ ...ids, message: say("user", "Old?", "q2") });
    await database.query("delete from chat_store.messages where chat_id = $1 and id <> 'q1' and id <> 'q2'", [
      ids.chatId,
    ]);
    await edit(ids, "q2", "New?", "2a");
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "Old?"]);
  });

  test("an edit that changes no word keeps the answer behind the question", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await edit(ids, "q1", "1?", "c");
    expect(await points(ids)).toEqual(["1?: 3/3 (1: 1,2: 1)"]);
  });

  test("alternatives keep their numbers when the current one is deleted", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await regenerate(ids, say("user", "1?", "q1"), "c");
    await switchTo(ids, 1);
    const [, answer] = await messagesOf(ids);
    await store.deleteMessage({ ...ids, messageId: answer?.id ?? "" });
    expect(await points(ids)).toEqual(["1?: 1/3 (2: 1,3: 1)"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "b"]);
    expect(await points(ids)).toEqual(["1?: 2/3 (1: 0,3: 1)"]);
  });

  test("a switch stores the words of a dead turn first, whose question leaves or stays", async () => {
    const ids = newIds();
    await ask(ids, "Old?", "a", "q1");
    await edit(ids, "q1", "New?", "b");
    const leaving = await store.startTurn({ ...ids, message: say("user", "2?", "q2") });
    await die(ids, leaving, "words");
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["Old?", "a"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["New?", "b", "2?", "words"]);

    const message = say("user", "New?", "q1");
    const staying = await store.startTurn({ ...ids, message, trigger: "regenerate-message" });
    await die(ids, staying, "other words");
    await switchTo(ids, 1);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["New?", "other words"]);
    await switchTo(ids, 1, 1);
    expect(await shown(ids)).toEqual(["New?", "b", "2?", "words"]);
  });

  test("the beginning of a dead turn's answer is kept like an answer, and the turn that comes back replaces only that", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    const turn = await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "regenerate-message" });
    await die(ids, turn, "b");
    await (await store.resumeTurn(ids))?.cancel();
    expect(await shown(ids)).toEqual(["1?", "b"]);
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)"]);
    await end(turn, "b and more");
    expect(await shown(ids)).toEqual(["1?", "b and more"]);
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "a"]);
  });

  test("what hangs on the beginning of a dead turn's answer hangs on the whole answer, also under another id", async () => {
    const ids = newIds();
    const turn = await store.startTurn({ ...ids, message: say("user", "1?", "q1") });
    await die(ids, turn, "a");
    await ask(ids, "2?", "2a", "q2");
    await edit(ids, "q2", "2!", "2b");
    expect(await points(ids)).toEqual(["a: 2/2 (1: 2)"]);
    await turn.persist.onEnd({ responseMessage: say("assistant", "a and more", "own") });
    expect(await shown(ids)).toEqual(["1?", "a and more", "2!", "2b"]);
    expect(await points(ids)).toEqual(["a and more: 2/2 (1: 2)"]);
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "a and more", "2?", "2a"]);
  });

  test("an approval on which no turn has acted is closed when its branch comes back", async () => {
    const ids = newIds();
    const approval = { id: "p", approved: true };
    const call = { type: "tool-pay", toolCallId: "t", state: "approval-responded", input: {}, approval };
    const parts = [{ type: "text", text: "a" }, call] as UIMessage["parts"];
    await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), { id: "a1", role: "assistant", parts }] });
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await switchTo(ids, 1);
    expect((await messagesOf(ids)).at(-1)).toMatchObject({
      id: "a1",
      parts: [{ text: "a" }, { toolCallId: "t", state: "output-error", input: {}, approval }],
    });
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "b"]);
  });

  test("a branch with a message that stands earlier by now is refused, and changes nothing", async () => {
    const ids = newIds();
    await ask(ids, "1?", "1a", "q1");
    await ask(ids, "2?", "2a", "q2");
    await regenerate(ids, say("user", "1?", "q1"), "1b");
    await store.upsertChat({ ...ids, messages: [say("user", "2?", "q2"), ...(await messagesOf(ids))] });
    await expect(switchTo(ids, 1)).rejects.toMatchObject({ code: "INVALID_CHAT", issues: [{ path: ["branchId"] }] });
    expect(await shown(ids)).toEqual(["2?", "1?", "1b"]);
    await store.deleteMessage({ ...ids, messageId: "q2" });
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "1a", "2?", "2a"]);
  });

  test("an answer without words replaces and keeps nothing", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "");
    expect(await shown(ids)).toEqual(["1?", "a"]);
    expect(await points(ids)).toEqual([]);
  });

  test("a running turn leaves what was added meanwhile, also when it has left and come back", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    const running = await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "regenerate-message" });
    await store.upsertChat({ ...ids, messages: [...(await messagesOf(ids)), say("user", "added", "m")] });
    await switchTo(ids, 1);
    expect(await shown(ids)).toEqual(["1?", "a"]);
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "b", "added"]);
    await end(running, "c");
    expect(await shown(ids)).toEqual(["1?", "c", "added"]);
    expect(await points(ids)).toEqual(["1?: 3/3 (1: 1,2: 1)"]);
  });

  test("a running turn whose question leaves stores nothing, and one whose question stays replaces what is there then", async () => {
    const ids = newIds();
    await ask(ids, "Old?", "a", "q1");
    await edit(ids, "q1", "New?", "b");
    const leaving = await store.startTurn({ ...ids, message: say("user", "2?", "q2") });
    await switchTo(ids, 1);
    const [turn] = await database.query("select stop from chat_store.turns where question_id = 'q2' and chat_id = $1", [
      ids.chatId,
    ]);
    expect(turn).toEqual({ stop: true });
    expect(await shown(ids)).toEqual(["Old?", "a"]);
    // Also when its question is there again.
    await switchTo(ids, 2);
    await expect(end(leaving, "2a")).rejects.toThrow(ChatConflictError);
    expect(await shown(ids)).toEqual(["New?", "b", "2?"]);

    await regenerate(ids, say("user", "New?", "q1"), "c");
    const message = say("user", "New?", "q1");
    const staying = await store.startTurn({ ...ids, message, trigger: "regenerate-message" });
    await switchTo(ids, 1, 1);
    expect(await shown(ids)).toEqual(["New?", "b", "2?"]);
    await end(staying, "d");
    expect(await shown(ids)).toEqual(["New?", "d"]);
    expect(await points(ids)).toEqual(["beginning: 2/2 (1: 2)", "New?: 3/3 (1: 2,2: 1)"]);
  });

  test("deleting a message deletes what stood behind it and behind those that go with it", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await ask(ids, "2?", "2a", "q2");
    await regenerate(ids, say("user", "2?", "q2"), "2b");
    await edit(ids, "q2", "3?", "3a");
    await regenerate(ids, say("user", "3?", "q2"), "3b");
    expect(await points(ids)).toEqual(["1?: 2/2 (1: 1)", "b: 2/2 (1: 2)", "3?: 2/2 (1: 1)"]);
    const count = async () =>
      (await database.query("select from chat_store.branches where chat_id = $1", [ids.chatId])).length;
    expect(await count()).toBe(4);
    await store.deleteMessage({ ...ids, messageId: "q2", following: true });
    expect(await points(ids)).toEqual(
      ["1?: 2/2 (1: 1)", "b: 1/2 (1: 2)"].map((text) => text.replace("b: 1/2", "b: 2/2")),
    );
    expect(await count()).toBe(3);
    await store.deleteMessage({ ...ids, messageId: "q1" });
    expect(await points(ids)).toEqual(["b: 2/2 (1: 2)"]);
    // The branch that hangs on the branch stays with it.
    expect(await count()).toBe(2);
    await store.upsertChat({ ...ids, messages: [] });
    expect(await count()).toBe(0);
  });

  test("another user has no branches, and can switch nothing", async () => {
    const ids = newIds();
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    const [point] = await store.getBranches(ids);
    const branchId = point?.branches[0]?.id ?? "";
    const stranger = { userId: "stranger", chatId: ids.chatId };
    expect(await store.getBranches(stranger)).toEqual([]);
    expect(await store.switchBranch({ ...stranger, branchId })).toBeNull();
    expect(await store.switchBranch({ ...ids, branchId: randomUUID() })).toBeNull();
    expect(await store.switchBranch({ ...ids, branchId: "no uuid" })).toBeNull();
    expect(await shown(ids)).toEqual(["1?", "b"]);
    await expect(store.switchBranch({ ...ids, branchId, expectedVersion: 1 })).rejects.toThrow(ChatConflictError);
    expect(await store.switchBranch({ ...ids, branchId: branchId.toUpperCase() })).toMatchObject({ id: ids.chatId });
  });

  test("at most 50 alternatives are kept beside the current one: the oldest goes first, and a switch drops none", async () => {
    const ids = newIds();
    await ask(ids, "1?", "0", "q1");
    for (let index = 1; index <= 51; index++) await regenerate(ids, say("user", "1?", "q1"), String(index));
    let [point] = await store.getBranches(ids);
    expect(point).toMatchObject({ position: 1, count: 51 });
    expect(point?.branches.map(({ position }) => position)).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 2),
    );
    await switchTo(ids, 2);
    expect(await shown(ids)).toEqual(["1?", "1"]);
    [point] = await store.getBranches(ids);
    expect(point).toMatchObject({ position: 2, count: 51 });
  });

  test("without the option nothing is kept, and no page has branches", async () => {
    const ids = newIds();
    const plain = storeOn(database.db);
    await ask(ids, "1?", "a", "q1");
    const message = say("user", "1?", "q1");
    await end(await plain.startTurn({ ...ids, message, trigger: "regenerate-message" }), "b");
    expect(await plain.getBranches(ids)).toEqual([]);
    expect(await plain.getMessages({ ...ids, limit: 1 })).not.toHaveProperty("branches");
    expect(await store.getMessages({ ...ids, limit: 1 })).toMatchObject({ branches: [] });
    await regenerate(ids, message, "c");
    expect(await store.getMessages({ ...ids, limit: 1 })).toMatchObject({ branches: await store.getBranches(ids) });
  });

  test("an export has all branches with their messages, and a copy has none", async () => {
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    await ask(ids, "1?", "a", "q1");
    await regenerate(ids, say("user", "1?", "q1"), "b");
    await edit(ids, "q1", "2?", "c");
    const copy = randomUUID();
    await store.forkChat({ ...ids, newChatId: copy });
    const exported: ExportedChat[] = [];
    for await (const chat of store.exportChats({ userId: ids.userId })) exported.push(chat);
    const chat = exported.find(({ id }) => id === ids.chatId);
    const edited = chat?.branches?.find(({ parentId }) => parentId === null);
    expect(chat?.branches?.map(({ messages }) => messages.map(textOf))).toEqual([["a"], ["1?", "b"]]);
    expect(chat?.branches).toEqual([
      expect.objectContaining({ afterMessageId: "q1", parentId: edited?.id, position: 1, messageCount: 1 }),
      expect.objectContaining({ afterMessageId: null, parentId: null, position: 1, messageCount: 2 }),
    ]);
    expect(exported.find(({ id }) => id === copy)).not.toHaveProperty("branches");
  });
});
