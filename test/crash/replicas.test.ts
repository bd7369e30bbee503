import { drizzle } from "drizzle-orm/node-postgres";
import { withReplicas } from "drizzle-orm/pg-core";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { createChatStore, migrate } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { createServer } from "../support/crash/server.ts";
import { isLong } from "../support/long-run.ts";

const ids = { userId: "ada", chatId: "chat" };

/** A primary, and a standby that receives everything and replays nothing of it: how far a replica may lag. */
async function start() {
  const primary = await createServer();
  onTestFinished(primary.remove);
  await primary.start();
  const open = (url: string, asked: string[] = []) => {
    const pool = new pg.Pool({ connectionString: url });
    pool.on("error", () => {});
    const db = drizzle(pool, { logger: { logQuery: (text) => asked.push(text) } });
    onTestFinished(() => pool.end());
    return db;
  };
  const onPrimary = open(primary.url);
  await migrate(onPrimary);
  await createChatStore(onPrimary).upsertChat({ ...ids, title: "Old", messages: conversation(2) });

  await primary.stop();
  const standby = await primary.copyAsStandby();
  onTestFinished(standby.remove);
  await primary.start("wal_keep_size=64");
  await standby.start();
  await primary.isFollowed("async");
  await standby.query("select pg_wal_replay_pause()");
  const askedOfReplica: string[] = [];
  return { primary: onPrimary, replica: open(standby.url, askedOfReplica), askedOfReplica };
}

test.each(isLong ? [{}, { prepare: true }, { portable: true }] : [{}])(
  "a store with the options %j asks no lagging replica, and a store on the replica only reads",
  async (options) => {
    const { primary, replica, askedOfReplica } = await start();
    const store = createChatStore(withReplicas(primary, [replica]), options);
    const onReplica = createChatStore(replica, options);

    // What a save finds, and who reads it.
    const messages = conversation(3);
    await store.upsertChat({ ...ids, title: "New", messages, expectedVersion: 1 });
    await store.upsertChat({ ...ids, messages: messages.toReversed(), expectedVersion: 2 });
    await store.upsertChat({ ...ids, messages, expectedVersion: 3 });
    expect(await store.getChat(ids)).toMatchObject({ title: "New", version: 4, messages });
    expect(await store.getChats({ userId: "ada" })).toMatchObject([{ version: 4 }]);
    expect(await store.getMessages({ ...ids, limit: 1 })).toMatchObject({ messages: [{ id: "m2" }] });

    // A turn, its question and its answer; and one that was overtaken.
    const turn = await store.startTurn({ ...ids, message: say("user", "And?", "q") });
    expect(turn.messages).toHaveLength(4);
    await store.upsertChat({ ...ids, after: "q", messages: [say("user", "Hello?", "other")] });
    await turn.persist.onEnd({ responseMessage: say("assistant", "So.", turn.persist.generateMessageId()) });
    expect((await store.getChat(ids))?.messages.map(({ id }) => id)).toEqual([
      ...messages.map(({ id }) => id),
      "q",
      turn.persist.generateMessageId(),
      "other",
    ]);

    // A save notices that what it was based on is old, and does it again: only this shows that nothing was.
    expect(askedOfReplica).toEqual([]);

    // The replica has all of the past, to show it; and who saves on that is told.
    const shown = await onReplica.getChat(ids);
    expect(shown).toMatchObject({ title: "Old", version: 1, messages: conversation(2) });
    expect(await onReplica.getChats({ userId: "ada" })).toMatchObject([{ title: "Old" }]);
    expect(await onReplica.getMessages({ ...ids, limit: 1 })).toMatchObject({ messages: conversation(2).slice(-1) });
    expect((await onReplica.searchChats({ userId: "ada", query: "old" })).matches).toHaveLength(1);
    const exported = [];
    for await (const chat of onReplica.exportChats({ userId: "ada" })) exported.push(chat);
    expect(exported).toEqual([shown]);
    const stale = store.upsertChat({ ...ids, messages: [...conversation(2), say("user", "?")], expectedVersion: 1 });
    await expect(stale).rejects.toMatchObject({ code: "CHAT_CONFLICT", actualVersion: 7 });

    // It takes no saves: Postgres only reads there.
    const readOnly = { code: "QUERY_FAILED", message: expect.stringContaining("25006") };
    await expect(onReplica.upsertChat({ ...ids, messages: conversation(4) })).rejects.toMatchObject(readOnly);
    await expect(onReplica.startTurn({ ...ids, message: say("user", "?") })).rejects.toMatchObject(readOnly);
    await expect(onReplica.deleteChat(ids)).rejects.toMatchObject(readOnly);
  },
);
