/**
 * A process that saves and saves, keeps a journal of it, and is killed. What is written to a file before a SIGKILL is
 * written: the operating system lives on.
 */
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { ChatConflictError } from "../../../src/errors/errors.ts";
import { isRetryable } from "../../../src/errors/is-retryable.ts";
import { createChatStore } from "../../../src/store.ts";
import type { ChatDatabase, UpsertChatInput } from "../../../src/types.ts";
import { createRandom } from "../random.ts";
import { change, compose, type Line, linesOf } from "./conversations.ts";

export interface WriterOptions {
  name: string;
  /** Under another name each time it is started again, so that no two of its saves are called the same. */
  life: number;
  url: string;
  driver: Driver;
  journal: string;
  seed: number;
  defect?: Defect | undefined;
}

export type Driver = "node-postgres" | "postgres.js";

/** What is done wrong on purpose, to see that it is found. */
export type Defect = "acknowledges a save before it is done" | "saves in two transactions";

export type Entry =
  /** `kept`: the ids of the messages in its branches. */
  | { attempt: string; chatId: string; lines: Line[]; kept?: string[] }
  | { acknowledged: string; chatId: string; version: number }
  | { conflict: string }
  | { deleting: string }
  | { deleted: string }
  | { retry: string };

const options: WriterOptions = JSON.parse(process.argv[2] ?? "");
const file = openSync(options.journal, "a");
const random = createRandom(options.seed);
const note = (entry: Entry) => writeSync(file, `${JSON.stringify(entry)}\n`);

// With the test that started it.
process.on("disconnect", () => process.exit());

let db = connect(options);
let store = createChatStore(db, { branches: true });
const userId = "u";

for (let running = 1; ; running++) {
  const save = `${options.name}-${options.life}.${running}`;
  // Most of the time a chat that is this writer's alone, where a conflict would be a false one.
  const isOwn = options.defect !== undefined || random.chance(0.7);
  const chatId = isOwn ? options.name : "shared";
  const stored = await retrying(() => store.getChat({ userId, chatId }));
  const before = stored ? linesOf(stored.messages) : [];
  if (!options.defect && random.chance(0.1)) await createAndDelete(save);
  else if (!options.defect && random.chance(0.12)) await regenerateAndSwitch(save);
  else if (isOwn && !options.defect && random.chance(0.3)) await takeTurn(save, chatId, before, stored?.version ?? 0);
  else await saveChange(save, { isOwn, chatId, before, version: stored?.version });
  await sleep(random.below(10));
}

async function saveChange(
  save: string,
  { isOwn, chatId, before, version }: { isOwn: boolean; chatId: string; before: Line[]; version: number | undefined },
) {
  const lines = change(before, save, random);
  const expectedVersion = random.chance(0.5) ? version : undefined;

  note({ attempt: save, chatId, lines });
  const input = { userId, chatId, messages: lines.map(compose), expectedVersion };
  try {
    if (options.defect === "acknowledges a save before it is done") {
      note({ acknowledged: save, chatId, version: (version ?? 0) + 1 });
      await sleep(5);
    }
    const saved = await retrying(() =>
      options.defect === "saves in two transactions" ? saveInTwoTransactions(input) : store.upsertChat(input),
    );
    note({ acknowledged: save, chatId, version: saved.version });
    if (isOwn && !options.defect && saved.version !== (version ?? 0) + 1) {
      throw new Error(`${save} took the writer's own chat from version ${version} to ${saved.version}`);
    }
  } catch (error) {
    if (isOwn || !ChatConflictError.isInstance(error)) throw error;
    note({ conflict: save });
  }
}

/** Two saves: a question is asked, and answered. However often either was sent, each is one version. */
async function takeTurn(save: string, chatId: string, before: Line[], version: number) {
  const [question, answer] = [{ id: `${save}.0`, save } as Line, { id: `${save}.1`, save } as Line];
  const saved = async (name: string, expected: number) => {
    const chat = await retrying(() => store.getChat({ userId, chatId }));
    if (chat?.version !== expected)
      throw new Error(`${name} took the writer's own chat to version ${chat?.version}, not ${expected}`);
    note({ acknowledged: name, chatId, version: expected });
  };

  note({ attempt: `${save}, asked`, chatId, lines: [...before, question] });
  const turn = await retrying(() => store.startTurn({ userId, chatId, message: compose(question) }));
  await saved(`${save}, asked`, version + 1);
  await sleep(random.below(20));
  note({ attempt: `${save}, answered`, chatId, lines: [...before, question, answer] });
  await retrying(() => turn.persist.onEnd({ responseMessage: compose(answer) }));
  await saved(`${save}, answered`, version + 2);
}

/** A chat of its own, which is gone again before its last answer has ended. */
async function createAndDelete(save: string) {
  const chatId = `${save}, deleted`;
  const [first, question, answer] = [1, 20, 3].map((number) => ({ id: `${save}.${number}`, save })) as [
    Line,
    Line,
    Line,
  ];
  const rest = () => sleep(random.below(20));

  note({ attempt: `${save}, created`, chatId, lines: [first] });
  await retrying(() => store.upsertChat({ userId, chatId, messages: [compose(first)] }));
  note({ acknowledged: `${save}, created`, chatId, version: 1 });
  note({ attempt: `${save}, asked`, chatId, lines: [first, question] });
  const turn = await retrying(() => store.startTurn({ userId, chatId, message: compose(question) }));
  await rest();
  note({ deleting: chatId });
  await retrying(() => store.deleteChat({ userId, chatId }));
  note({ deleted: chatId });
  await rest();
  // Nothing comes back to life.
  const late = await retrying(() => turn.persist.onEnd({ responseMessage: compose(answer) })).catch((error) => error);
  if (!ChatConflictError.isInstance(late))
    throw new Error(`${save} was answered in a chat that is gone`, { cause: late });
}

/** A chat of its own whose answer is generated again, and which goes back to the first one. */
async function regenerateAndSwitch(save: string) {
  const chatId = `${save}, regenerated`;
  const ids = { userId, chatId };
  const [question, first, second] = [0, 1, 2].map((number) => ({ id: `${save}.${number}`, save })) as [
    Line,
    Line,
    Line,
  ];
  const become = async (version: number, answer: Line, kept: Line[], call: () => Promise<unknown>) => {
    const name = `${save}, version ${version}`;
    note({ attempt: name, chatId, lines: [question, answer], kept: kept.map(({ id }) => id) });
    await retrying(call);
    const chat = await retrying(() => store.getChat(ids));
    if (chat?.version !== version) throw new Error(`${name} is at version ${chat?.version}`);
    note({ acknowledged: name, chatId, version });
  };

  await become(1, first, [], () => store.upsertChat({ ...ids, messages: [question, first].map(compose) }));
  const again = { message: compose(question), trigger: "regenerate-message" } as const;
  const turn = await retrying(() => store.startTurn({ ...ids, ...again }));
  await sleep(random.below(20));
  await become(2, second, [first], () => turn.persist.onEnd({ responseMessage: compose(second) }));
  const [point] = await retrying(() => store.getBranches(ids));
  const branchId = point?.branches[0]?.id ?? "";
  // Sent again after a lost confirmation, it finds no such branch.
  await become(3, first, [second], () => store.switchBranch({ ...ids, branchId }));
}

/** What an application would do. Whatever cannot be retried ends the process, and with it the test. */
async function retrying<T>(call: () => Promise<T>): Promise<T> {
  for (let starved = 0; ; ) {
    try {
      return await call();
    } catch (error) {
      if (!isRetryable(error)) throw error;
      const reason = reasonOf(error);
      note({ retry: reason });
      await sleep(20 + random.below(80));

      // Drizzle 0.45 never gives a connection back to node-postgres's pool if BEGIN fails on it. In the end there is none.
      starved = reason.includes("timeout exceeded when trying to connect") ? starved + 1 : 0;
      if (starved === 3) {
        note({ retry: "(with a new pool)" });
        db = connect(options);
        store = createChatStore(db, { branches: true });
      }
    }
  }
}

/** The code at the bottom of an error, or its message if it has none. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && error.cause) return reasonOf(error.cause);
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

function connect({ url, driver }: WriterOptions): ChatDatabase {
  if (driver === "node-postgres") {
    const pool = new pg.Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 2_000 });
    pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
    return drizzlePg(pool);
  }
  return drizzlePostgresJs(postgres(url, { max: 2, onnotice: () => {}, connect_timeout: 2, backoff: () => 0.05 }));
}

async function saveInTwoTransactions({ chatId, messages }: UpsertChatInput): Promise<{ version: number }> {
  const rows = JSON.stringify(messages.map((message, order) => ({ ...message, order })));
  await db.transaction(async (tx) => {
    await tx.execute(sql`insert into chat_store.chats (id, user_id, title) values (${chatId}, ${userId}, '')
      on conflict (id) do update set version = chats.version + 1`);
    await tx.execute(sql`delete from chat_store.messages where chat_id = ${chatId}`);
  });
  await db.execute(sql`insert into chat_store.messages (chat_id, id, "order", role, parts, metadata)
    select ${chatId}, id, "order", role, parts, metadata
    from json_to_recordset(${rows}::text::json) as m (id text, "order" int, role text, parts json, metadata json)`);
  const saved = await store.getChat({ userId, chatId });
  return { version: saved?.version ?? 0 };
}
