import { join } from "node:path";
import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { createChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { nodePostgres } from "../support/databases.ts";
import { run } from "../support/pack.ts";
import { unpackRelease } from "../support/releases.ts";
import { openUnderPolicies } from "../support/row-level-security.ts";

const options = { rowLevelSecurity: true };

test("every method works with the policies of version 0.1 but claimChats, which asks for new policies and changes nothing", async () => {
  const { folder, remove } = await unpackRelease("0.1.0");
  onTestFinished(remove);
  const { stdout: policies } = await run(process.execPath, [join(folder, "dist", "cli.js"), "sql", "--rls"]);
  const database = await openUnderPolicies(nodePostgres, policies);
  onTestFinished(database.close);
  const store = createChatStore(database.db, options);
  const ids = { userId: "u", chatId: "c" };

  await store.upsertChat({ ...ids, messages: conversation(6) });
  await store.updateChat({ ...ids, title: "Tides", archived: true, metadata: { a: 1 } });
  const turn = await store.startTurn({ ...ids, message: say("user", "And?"), limit: 2 });
  await turn.persist.onEnd({ responseMessage: say("assistant", "So", turn.persist.generateMessageId()) });
  await store.updateMessage({ ...ids, message: say("user", "changed", "m2") });
  await store.deleteMessage({ ...ids, messageId: "m1" });
  expect(await store.forkChat({ ...ids, newChatId: "fork" })).toMatchObject({ id: "fork" });
  expect((await store.getMessages({ ...ids, limit: 2 }))?.messages).toHaveLength(2);
  expect((await store.searchChats({ userId: "u", query: "changed" })).matches).toHaveLength(2);
  const exported: string[] = [];
  for await (const { id } of store.exportChats({ userId: "u" })) exported.push(id);
  expect(exported.sort()).toEqual(["c", "fork"]);

  const claiming = store.claimChats({ fromUserId: "u", userId: "heir" });
  await expect(claiming).rejects.toMatchObject({
    code: "QUERY_FAILED",
    message: expect.stringContaining("npx drizzle-chat-store sql --rls"),
  });
  expect(await database.query("select user_id, claimed_from from chat_store.chats")).toEqual(
    Array.from({ length: 2 }, () => ({ user_id: "u", claimed_from: null })),
  );
  expect(await store.deleteChat({ ...ids, chatId: "fork" })).toBe(true);
  expect(await store.deleteAllChats({ userId: "u" })).toBe(1);
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
