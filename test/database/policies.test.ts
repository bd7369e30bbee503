import { join } from "node:path";
import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { type ChatStore, type ChatStoreOptions, createChatStore } from "../../src/index.ts";
import { policyScript } from "../../src/migrate/migration-script.ts";
import { conversation, say } from "../support/conversations.ts";
import { nodePostgres } from "../support/databases.ts";
import { run } from "../support/pack.ts";
import { unpackRelease } from "../support/releases.ts";
import { grantsTo, openUnderPolicies } from "../support/row-level-security.ts";

const options = { rowLevelSecurity: true };

/** What version 0.1 asks an owner of the tables to run. */
async function ofVersion01() {
  const { folder, remove } = await unpackRelease("0.1.0");
  onTestFinished(remove);
  const { stdout: policies } = await run(process.execPath, [join(folder, "dist", "cli.js"), "sql", "--rls"]);
  return { policies, grants: (role: string) => grantsTo(role, folder) };
}

const ids = { userId: "u", chatId: "c" };

/** Calls every method but `claimChats` and those that delete all. */
async function exercise(store: ChatStore) {
  await store.upsertChat({ ...ids, messages: conversation(6) });
  await store.updateChat({ ...ids, title: "Tides", archived: true, metadata: { a: 1 } });
  const answer = async (text: string, intent: { trigger?: "regenerate-message"; messageId?: string } = {}) => {
    const turn = await store.startTurn({ ...ids, message: say("user", text, "q"), ...intent, limit: 2 });
    const id = turn.persist.generateMessageId();
    await turn.consumeSseStream({ stream: ReadableStream.from([`data: {"type":"start","messageId":"${id}"}\n\n`]) });
    await turn.persist.onEnd({ responseMessage: say("assistant", "So", id) });
  };
  await answer("And?");
  await answer("And?", { trigger: "regenerate-message" });
  await answer("And now?", { messageId: "q" });
  const running = await store.startTurn({ ...ids, message: say("user", "Then?") });
  expect(await store.stopTurn(ids)).toBe(true);
  await (await store.resumeTurn({ ...ids, version: 1 }))?.cancel();
  await running.fail();
  await store.updateMessage({ ...ids, message: say("user", "changed", "m2") });
  await store.deleteMessage({ ...ids, messageId: "m1" });
  expect(await store.forkChat({ ...ids, newChatId: "fork" })).toMatchObject({ id: "fork" });
  expect((await store.getMessages({ ...ids, limit: 2 }))?.messages).toHaveLength(2);
  expect((await store.searchChats({ userId: "u", query: "changed" })).matches).toHaveLength(2);
  const exported: string[] = [];
  for await (const { id } of store.exportChats({ userId: "u" })) exported.push(id);
  expect(exported.sort()).toEqual(["c", "fork"]);
}

async function deleteEverything(store: ChatStore) {
  expect(await store.deleteMessage({ ...ids, messageId: "m2", following: true })).toMatchObject({ id: "c" });
  await store.upsertChat({ ...ids, messages: [] });
  expect(await store.deleteChat({ ...ids, chatId: "fork" })).toBe(true);
  expect(await store.deleteAllChats({ userId: "u" })).toBe(1);
}

const modes: { mode: string; settings: ChatStoreOptions }[] = [
  { mode: "default", settings: {} },
  { mode: "portable", settings: { portable: true } },
  { mode: "prepared", settings: { prepare: true } },
];

test.each(modes)(
  "every method works with the policies and the grants of version 0.1 but claimChats, which asks for new policies and changes nothing ($mode)",
  async ({ settings }) => {
    const database = await openUnderPolicies(nodePostgres, await ofVersion01());
    onTestFinished(database.close);
    const store = createChatStore(database.db, { ...options, ...settings });
    await exercise(store);

    const claiming = store.claimChats({ fromUserId: "u", userId: "heir" });
    await expect(claiming).rejects.toMatchObject({
      code: "QUERY_FAILED",
      message: expect.stringContaining("npx drizzle-chat-store sql --rls"),
    });
    expect(await database.query("select user_id, claimed_from from chat_store.chats")).toEqual(
      Array.from({ length: 2 }, () => ({ user_id: "u", claimed_from: null })),
    );
    await deleteEverything(store);
  },
);

test.each(modes)(
  "every method works for a role that may not touch the table branches, also where branches were kept before ($mode)",
  async ({ settings }) => {
    const { grants } = await ofVersion01();
    const database = await openUnderPolicies(nodePostgres, { policies: "", grants });
    onTestFinished(database.close);
    const { query, role } = database;
    const privilege = `has_table_privilege('${role}', 'chat_store.branches', 'select, insert, update, delete')`;
    expect(await query(`select ${privilege} as granted`)).toEqual([{ granted: false }]);
    const store = createChatStore(database.db, settings);
    await exercise(store);
    await query(`insert into chat_store.branches (chat_id, id, after_id, position, message_count, messages)
      values ('c', gen_random_uuid(), 'm2', 1, 0, '[]')`);
    expect(await store.claimChats({ fromUserId: "u", userId: "heir" })).toBe(2);
    expect(await store.claimChats({ fromUserId: "heir", userId: "u" })).toBe(2);
    await deleteEverything(store);
    expect(await query("select from chat_store.branches")).toEqual([]);
  },
);

test("a store with branches names the missing grant and changes nothing, and works with the grants and policies of this version", async () => {
  const database = await openUnderPolicies(nodePostgres, await ofVersion01());
  onTestFinished(database.close);
  const { query, role } = database;
  const store = createChatStore(database.db, { ...options, branches: true });
  const question = say("user", "And?", "q");
  const regenerate = async () => {
    const turn = await store.startTurn({ ...ids, message: question, trigger: "regenerate-message" });
    await turn.persist.onEnd({ responseMessage: say("assistant", "So", turn.persist.generateMessageId()) });
  };
  await store.upsertChat({ ...ids, messages: [question, say("assistant", "No", "a")] });
  const refused = { code: "QUERY_FAILED", message: expect.stringContaining("42501") };
  await expect(store.getBranches(ids)).rejects.toMatchObject(refused);
  await expect(regenerate()).rejects.toMatchObject(refused);
  expect(await store.getChat(ids)).toMatchObject({ version: 1, messages: [{ id: "q" }, { id: "a" }] });

  await query(grantsTo(role));
  await query(policyScript("chat_store"));
  await regenerate();
  const [point] = await store.getBranches(ids);
  expect(point).toMatchObject({ afterMessageId: "q", position: 2, count: 2 });
  expect(await store.switchBranch({ ...ids, branchId: point?.branches[0]?.id ?? "" })).toMatchObject({ version: 3 });
  // Policies hold for branches, too: without a user id in the transaction none is to be seen.
  await query(`set role ${role}`);
  expect(await query("select from chat_store.branches")).toEqual([]);
  await query("reset role");
  expect(await query("select from chat_store.branches")).toHaveLength(1);
});

test("each call in a transaction of the application puts back the application's user id", async () => {
  const database = await openUnderPolicies(nodePostgres);
  onTestFinished(database.close);
  const settings = sql`select current_setting('chat_store.user_id', true) "user", current_setting('chat_store.turn_token', true) turn,
current_setting('chat_store.claimant_id', true) claimant`;
  await createChatStore(database.db, options).upsertChat({ userId: "guest", chatId: "c", messages: [] });
  await database.db.transaction(async (tx) => {
    const store = createChatStore(tx, options);
    const set = async () => ((await tx.execute(settings)) as unknown as { rows: unknown[] }).rows;
    await tx.execute(sql`select set_config('chat_store.user_id', 'the application', true)`);
    const before = await set();
    const calls = [
      () => store.claimChats({ fromUserId: "guest", userId: "u" }),
      () => store.getMessages({ userId: "u", chatId: "c", limit: 1 }),
      () => store.searchChats({ userId: "u", query: "x" }),
      () => store.upsertChat({ userId: "u", chatId: "c", messages: conversation(3) }),
      () => store.upsertChat({ userId: "u", chatId: "c", after: "m0", messages: [] }),
      () => store.deleteMessage({ userId: "u", chatId: "c", messageId: "m0" }),
      () => store.deleteAllChats({ userId: "u" }),
    ];
    for (const call of calls) {
      await call();
      expect(await set()).toEqual([{ ...(before[0] as object), turn: "", claimant: "" }]);
    }
  });
});
