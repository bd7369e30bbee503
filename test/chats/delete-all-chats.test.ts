// Projects: main. Long: postgres.
import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { inModes, preparing, servers } from "../support/databases.ts";

const ways = inModes(servers.slice(0, 1)).filter(({ mode }) => mode !== "without transactions");

describe.each([...ways, ...servers.slice(0, 1).map((kind) => ({ ...kind, ...preparing }))])(
  "the cost of deleteAllChats on $name, $mode",
  ({ open, storeOn }) => {
    test.each([
      { mine: 1_000, all: 1_000 },
      { mine: 1_000, all: 40_000 },
      { mine: 4_000, all: 40_000 },
    ])(
      "deleteAllChats reads a fixed number of rows for each of $mine chats that it deletes, of $all",
      async (count) => {
        const database = await open();
        onTestFinished(database.close);
        const userId = randomUUID();
        await database.query(
          `insert into chat_store.chats (id, user_id, title, updated_at)
         select md5(n::text), case when n % $1 = 0 then $2 else 'other ' || n % 1000 end, 't', now() - n * interval '1 minute'
         from generate_series(1, $3::int) n`,
          [count.all / count.mine, userId, count.all],
        );
        await database.query("vacuum analyze chat_store.chats");
        const read = await database.db.transaction(async (tx) => {
          expect(await storeOn(tx).deleteAllChats({ userId })).toBe(count.mine);
          const result = await tx.execute(
            "select sum(seq_tup_read + idx_tup_fetch)::int rows from pg_stat_xact_user_tables where schemaname = 'chat_store' and relname = 'chats'",
          );
          return (result as unknown as { rows: [{ rows: number }] }).rows[0].rows;
        });
        // Found, locked and deleted; of a few chats also read once more for each batch, if that is less than to look them up.
        expect(read / count.mine).toBeLessThan(8);
      },
    );
  },
);
