// Projects: main, citus.
import { randomUUID } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { waitingForLocks } from "../support/citus-cluster.ts";
import { conversation, say } from "../support/conversations.ts";
import { inModes, servers } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";

test.each(inModes(servers))(
  "a claim that has waited for a turn to begin lets it store its answer for the new owner, on $name, $mode",
  async ({ open, storeOn }) => {
    const database = await open();
    onTestFinished(() => database.close());
    const store = storeOn(database.db);
    const ids = { userId: "guest", chatId: randomUUID() };
    await store.upsertChat({ ...ids, messages: conversation(4) });
    const waiting = (count: number) =>
      eventually(`${count} calls wait for the chat`, async () => {
        // Or the transaction would see the same activity each time.
        await database.query("select pg_stat_clear_snapshot()");
        return (await database.query(waitingForLocks())).length === count;
      });

    await database.query("begin");
    await database.query("select from chat_store.chats where id = $1 for update", [ids.chatId]);
    // Postgres gives the lock to the call that has waited longest. By then the claim's snapshot does not see the turn.
    const starting = store.startTurn({ ...ids, message: say("user", "And?", "question") });
    await waiting(1);
    const claiming = store.claimChats({ fromUserId: "guest", userId: "heir" });
    await waiting(2);
    await database.query("rollback");

    expect(await claiming).toBe(1);
    await (await starting).persist.onEnd({ responseMessage: say("assistant", "So", "answer") });
    expect((await store.getChat({ ...ids, userId: "heir" }))?.messages.at(-1)).toMatchObject({ id: "answer" });
  },
);
