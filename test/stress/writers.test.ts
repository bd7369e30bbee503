import { setTimeout as sleep } from "node:timers/promises";
import { TransactionRollbackError } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ChatConflictError,
  type ChatDatabase,
  ChatOwnershipError,
  type ChatWithMessages,
  createChatStore,
  migrate,
} from "../../src/index.ts";
import { createDatabase } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";
import { createHistory, generationOf, nameOf } from "../support/stress/history.ts";
import { change, compose, type Line, linesOf } from "../support/stress/lines.ts";

const seconds = Number(process.env.STRESS_SECONDS ?? (isLong ? 20 : 4));
const random = seeded();
const writers = 16;
const chatIds = ["a", "b"];
const otherUser = (user: string) => (user === "ann" ? "ben" : "ann");

/** How often a second each happens at least where little else runs. Two busy cores do about ten times as much. */
const least = {
  saves: 10,
  conflicts: 2,
  refusals: 2,
  rollbacks: 0.5,
  reads: 10,
  snapshots: 50,
  deletes: 0.2,
  transfers: 0.4,
  edits: 0.8,
};
type Kind = keyof typeof least;
const kinds = Object.keys(least) as Kind[];

/** What all of one run share. */
function createRun(db: ChatDatabase, { portable }: { portable: boolean }) {
  const end = Date.now() + seconds * 1000;
  const failures: unknown[] = [];
  const counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;
  const have = (...some: Kind[]) => some.every((kind) => counts[kind] > 0);
  /** The chats that were saved since the meddler has ended, so that none is missing that it deleted last. */
  let savedLast: Set<string> | undefined;
  return {
    db,
    storeOn: (db: ChatDatabase) => createChatStore(db, { portable }),
    history: createHistory(),
    /** Who owned each chat when last heard of. */
    owners: new Map(chatIds.map((id) => [id, "ann"])),
    counts,
    /** How many saves each writer has tried. */
    attempts: new Map(Array.from({ length: writers }, (_, number) => [`w${number}`, 0])),
    failures,
    /** When all that others do to the chats was done, and the time is over. */
    isMeddled: () => failures.length > 0 || (Date.now() > end && have("deletes", "transfers", "edits")),
    endMeddling: () => {
      savedLast = new Set();
    },
    saved: (chatId: string) => void savedLast?.add(chatId),
    /** However slow the machine is: when everything was done, and the time is over. */
    isOver: () => failures.length > 0 || (savedLast?.size === chatIds.length && have(...kinds)),
  };
}
type Run = ReturnType<typeof createRun>;

/** Saves whole conversations of its own making, and lets only conflicts and refusals pass. */
async function write({ db, storeOn, history, owners, counts, attempts, saved: savedIn, isOver }: Run, name: string) {
  const choices = random.fork();
  const { chance, pick } = choices;
  const store = storeOn(db);
  let lines: Line[] = [];
  let running = 0;
  while (!isOver()) {
    attempts.set(name, (attempts.get(name) ?? 0) + 1);
    const chatId = pick(chatIds);
    const owner = owners.get(chatId) ?? "ann";
    const userId = chance(0.05) ? otherUser(owner) : owner;
    // Goes on from what is stored, or from what it saved last.
    const read = chance(0.6) ? await store.getChat({ userId, chatId }) : null;
    if (read) {
      history.saw(read);
      lines = linesOf(read.messages);
      counts.reads++;
    }
    const expectedVersion = chance(0.5) ? read?.version : undefined;

    const save = async (db: ChatDatabase, expectedVersion?: number) => {
      const tag = `${name}.${++running}`;
      const title = chance(0.2) ? tag : undefined;
      lines = change(lines, tag, choices);
      const messages = lines.map(compose);
      const chat = await storeOn(db).upsertChat({ userId, chatId, title, messages, expectedVersion });
      return () => history.saved({ ...chat, userId, messages }, { title, expectedVersion });
    };
    try {
      const saved = chance(0.8)
        ? [await save(db, expectedVersion)]
        : await db.transaction(async (tx) => {
            const saved = [await save(tx, expectedVersion)];
            if (chance(0.5)) saved.push(await save(tx));
            if (chance(0.3)) throw new TransactionRollbackError();
            return saved;
          });
      for (const acknowledge of saved) acknowledge();
      counts.saves += saved.length;
      savedIn(chatId);
      owners.set(chatId, userId);
    } catch (error) {
      if (error instanceof TransactionRollbackError) counts.rollbacks++;
      else if (error instanceof ChatConflictError && error.actualVersion !== expectedVersion) counts.conflicts++;
      else if (error instanceof ChatOwnershipError) {
        owners.set(chatId, otherUser(userId));
        counts.refusals++;
      } else throw error;
    }
  }
}

/** Deletes chats, gives them to the other user, and edits messages, past the store. */
async function meddle({ history, owners, counts, isMeddled, endMeddling }: Run, client: pg.ClientBase) {
  const { below, chance, pick } = random.fork();
  const query = (text: string, ...values: unknown[]) => client.query(text, values);
  for (let running = 1; !isMeddled(); running++) {
    await sleep(below(20));
    const chatId = pick(chatIds);
    if (chance(0.15)) {
      const { rowCount } = await query("delete from chat_store.chats where id = $1", chatId);
      counts.deletes += rowCount ?? 0;
      continue;
    }
    await query("begin");
    const { rowCount } = await query("update chat_store.chats set version = version + 1 where id = $1", chatId);
    const chat = rowCount === 1 && (await snapshot(client)).get(chatId);
    if (chat) {
      // Locked now, so this is what the version before was to its end.
      history.saw({ ...chat, version: chat.version - 1 });
      const changesOwner = chance(0.3);
      if (changesOwner) {
        chat.userId = otherUser(chat.userId);
        await query("update chat_store.chats set user_id = $2 where id = $1", chatId, chat.userId);
        counts.transfers++;
      } else {
        const last = chance(0.3) ? chat.messages.pop() : undefined;
        await query("delete from chat_store.messages where chat_id = $1 and id = $2", chatId, last?.id);
        chat.messages = chat.messages.map(({ id }) => compose({ id, tag: `meddler.${running}` }));
        await query(
          `update chat_store.messages m set role = v.role, parts = v.parts, metadata = v.metadata
           from json_to_recordset($2) v (id text, role text, parts json, metadata json) where chat_id = $1 and m.id = v.id`,
          chatId,
          JSON.stringify(chat.messages),
        );
        counts.edits++;
      }
      history.saved(chat, { changesOwner });
      owners.set(chatId, chat.userId);
    }
    await query("commit");
  }
  // Writers create what it deleted last.
  endMeddling();
}

/** Looks at both chats as fast as it can. */
async function sample({ history, counts, isOver }: Run, client: pg.ClientBase) {
  const latest = new Map<string, ChatWithMessages>();
  const deleted = new Set<string>();
  for (; !isOver(); counts.snapshots++) {
    const chats = await snapshot(client);
    for (const before of latest.values()) {
      const chat = chats.get(before.id);
      if (!chat || generationOf(chat) !== generationOf(before)) deleted.add(generationOf(before));
      else if (chat.version < before.version) expect.fail(`${nameOf(chat)}, after ${nameOf(before)}`);
    }
    latest.clear();
    for (const chat of chats.values()) {
      if (deleted.has(generationOf(chat))) expect.fail(`${nameOf(chat)}, after its deletion`);
      history.saw(chat);
      latest.set(chat.id, chat);
    }
  }
}

/** All chats as they are at one moment. */
async function snapshot(client: pg.ClientBase | pg.Pool): Promise<Map<string, ChatWithMessages>> {
  const { rows } = await client.query<ChatWithMessages & { orders: number[] }>(`
    select c.id, user_id "userId", title, version, c.created_at "createdAt", updated_at "updatedAt",
      coalesce(json_agg(json_strip_nulls(json_build_object('id', m.id, 'role', role, 'metadata', m.metadata, 'parts', parts))
        order by "order") filter (where m.id is not null), '[]') messages,
      coalesce(array_agg("order" order by "order") filter (where m.id is not null), '{}') orders
    from chat_store.chats c left join chat_store.messages m on chat_id = c.id group by c.id`);
  for (const { orders, ...chat } of rows) {
    if (orders.some((order, index) => order !== index)) expect.fail(`${nameOf(chat)} has the orders ${orders}`);
  }
  return new Map(rows.map((chat) => [chat.id, chat]));
}

describe.each([false, true])("Chats under writers and a meddler (portable: %s)", (portable) => {
  const done: { counts?: Record<Kind, number>; slowest?: number } = {};

  test("readers see only whole saves, in the order of their versions", async () => {
    const { url, drop } = await createDatabase();
    // A statement that hangs becomes an error. On a busy machine one may take seconds.
    const pool = new pg.Pool({ connectionString: url, max: writers + 3, statement_timeout: 120_000 });
    // end() does not wait for its connections, so that drop() may be what ends them.
    pool.on("error", () => {});
    onTestFinished(async () => {
      await pool.end();
      await drop();
    });
    const db = drizzle(pool);
    await migrate(db);
    // A chat that is deleted and created again within a millisecond must not pass for the same one.
    await pool.query(`create sequence generations; alter table chat_store.chats
    alter created_at set default timestamptz 'epoch' + nextval('generations') * interval '1 ms'`);

    const run = createRun(db, { portable });
    const { history, counts, attempts, failures } = run;
    const onClient = async (work: (run: Run, client: pg.ClientBase) => Promise<void>) => {
      const client = await pool.connect();
      await work(run, client).finally(() => client.release(true));
    };
    const work = [onClient(meddle), onClient(sample), onClient(sample)];
    for (const name of attempts.keys()) work.push(write(run, name));
    await Promise.all(work.map((one) => one.catch((error: unknown) => failures.push(error))));
    if (failures.length > 0) throw failures[0];

    // What is left is there, was seen like all else, and every version between has its save.
    const left = await snapshot(pool);
    for (const chatId of chatIds) history.saw(left.get(chatId) ?? expect.fail(`chat ${chatId} is missing`));
    const { versions, generations } = history.check();
    expect(generations).toBe(counts.deletes + left.size);

    const slowest = Math.min(...attempts.values());
    console.log(`portable: ${portable}, ${seconds} s:`, JSON.stringify({ ...counts, versions, slowest }));
    Object.assign(done, { counts, slowest });
  });

  test.runIf(isLong)("writers and the meddler do more than ten percent of the work that two cores can do", () => {
    const { counts = expect.fail("the run before has failed"), slowest } = done;
    expect(kinds.filter((kind) => counts[kind] < least[kind] * seconds)).toEqual([]);
    expect(slowest).toBeGreaterThan(seconds);
  });
});
