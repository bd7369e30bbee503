// Isolated: it watches what is printed.
import { Writable } from "node:stream";
import { format, inspect } from "node:util";
import type { UIMessage } from "ai";
import { createConsola } from "consola";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import pino from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import winston from "winston";
import { type ChatDatabase, type ChatStore, ChatStoreError, createChatStore, migrate } from "../src/index.ts";
import { createDatabase, modes } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";

/** In every title, text, tool output and metadata, and in the ids of users. Nothing of the library may show it. */
const secret = "Xyzzy";
const userId = `user ${secret}`;
const ids = { userId, chatId: "chat" };

const say = (id: string, role: UIMessage["role"] = "user"): UIMessage => ({
  id,
  role,
  metadata: { mood: secret },
  parts: [
    { type: "text", text: `I said ${secret}.` },
    { type: "tool-read", toolCallId: "t", state: "output-available", input: { file: secret }, output: secret },
  ],
});
const pending: UIMessage = {
  ...say("a", "assistant"),
  parts: [{ type: "tool-read", toolCallId: "t", state: "input-available", input: { file: secret } }],
};
const messages = [say("q"), pending];
const title = `About ${secret}`;
const save = { ...ids, title, messages };
/** A value of the wrong type that holds the secret. */
const wrong = [
  secret.repeat(300),
  `${secret}\0`,
  `${secret}\ud800`,
  [secret],
  { secret },
  Object(secret),
  () => secret,
];

type Failure = (store: ChatStore, db: ChatDatabase) => Promise<unknown>;
// What arrives from JavaScript does not keep to the types.
const upsert =
  (input: object): Failure =>
  (store) =>
    store.upsertChat({ ...save, ...input } as never);
const ask =
  (message: object): Failure =>
  (store) =>
    store.startTurn({ ...ids, title, message: message as UIMessage });
const answer =
  (responseMessage: object): Failure =>
  async (store) => {
    const { persist } = await store.startTurn({ ...ids, message: say("second") });
    await persist.onEnd({ responseMessage: responseMessage as UIMessage });
  };
const withPart = (part: unknown) => ({ ...pending, parts: [part] });

const fields = ["userId", "chatId", "title", "messages", "after", "expectedVersion"] as const;
const invalid: [string, Failure][] = [
  ...fields.flatMap((field) =>
    wrong.map((value): [string, Failure] => [`a wrong ${field}`, upsert({ [field]: value })]),
  ),
  ...(["id", "role", "parts"] as const).flatMap((field) =>
    wrong
      .filter((value) => field !== "parts" || !Array.isArray(value))
      .map((value): [string, Failure] => [`a wrong ${field}`, upsert({ messages: [{ ...say("q"), [field]: value }] })]),
  ),
  ["a message that is a text", upsert({ messages: [secret] })],
  ["ids that are used twice", upsert({ messages: [say(secret), say(secret)] })],
  ["a BigInt beside a text", upsert({ messages: [withPart({ text: secret, total: 1n })] })],
  [
    "a cycle",
    upsert({
      messages: [
        withPart(
          Object.assign([secret], {
            get 1() {
              return this;
            },
          }),
        ),
      ],
    }),
  ],
  [
    "a getter that throws",
    (store) =>
      store.upsertChat({
        ...ids,
        get messages(): UIMessage[] {
          throw new Error(secret);
        },
      }),
  ],
  [
    "a part that throws",
    upsert({
      messages: [
        withPart({
          toJSON() {
            throw new Error(secret);
          },
        }),
      ],
    }),
  ],
  ["metadata that is a function", upsert({ messages: [{ ...say("q"), metadata: () => secret }] })],
  ["nesting", upsert({ messages: [withPart(JSON.parse(`${"[".repeat(50_000)}"${secret}"${"]".repeat(50_000)}`))] })],
  ["a wrong limit", (store) => store.getChats({ userId, limit: secret as never })],
  ["a wrong version", (store) => store.resumeTurn({ ...ids, version: secret as never })],
  ...wrong.map((value): [string, Failure] => [
    "a wrong last message",
    (store) => store.stopTurn({ ...ids, messageId: value as never }),
  ]),
  ["a wrong page", (store) => store.getChats({ userId, before: { id: `${secret}\0`, updatedAt: secret as never } })],
  ["a page before no message", (store) => store.getMessages({ ...ids, limit: 2, before: secret })],
  ["a search that cannot be", (store) => store.searchChats({ userId, query: `${secret}\0` })],
  ["a search from nowhere", (store) => store.searchChats({ userId, query: secret, cursor: secret })],
  ["a new title that cannot be", (store) => store.updateChat({ ...ids, title: `${secret}\0` })],
  ["no title in place of another", (store) => store.updateChat({ ...ids, expectedTitle: secret })],
  ["two titles", (store) => store.updateChat({ ...ids, title: secret, titleIfEmpty: secret })],
  [
    "metadata of a chat that JSON cannot carry",
    (store) => store.updateChat({ ...ids, metadata: { total: [secret, 1n] } }),
  ],
  ["a fork under no id", (store) => store.forkChat({ ...ids, newChatId: `${secret}\0` })],
  ["a change of a message's role", (store) => store.updateMessage({ ...ids, message: say("q", "assistant") })],
  ["a deletion of no message", (store) => store.deleteMessage({ ...ids, messageId: `${secret}\0` })],
  ["a claim from nobody", (store) => store.claimChats({ fromUserId: `${secret}\0`, userId })],
  ["what follows no message", upsert({ after: secret })],
  ["what is before a message", upsert({ after: messages.at(-1)?.id })],
  ["a new message of another role", ask(say("new", "system"))],
  ["a stored message in another role", ask(say("q", "assistant"))],
  ["an answer with other words", ask(withPart({ type: "text", text: `${secret}!` }))],
  ["an answer with more parts", ask({ ...pending, parts: [...pending.parts, ...say("x").parts] })],
  ["an answer under a stored id", answer(say("q", "assistant"))],
  ["an answer that is none", answer({ id: "new", role: secret, parts: secret })],
];

const refused: [string, Failure][] = [
  ["a stranger's save", (store) => store.upsertChat({ ...save, userId: `other ${secret}` })],
  ["a stranger's question", (store) => store.startTurn({ ...ids, userId: `other ${secret}`, message: say("new") })],
  ["a stale copy", (store) => store.upsertChat({ ...save, messages: [say("new")], expectedVersion: 9 })],
  [
    "a stale copy of a message",
    (store) =>
      store.updateMessage({
        ...ids,
        message: { ...withPart({ type: "text", text: `${secret}!` }), id: "q", role: "user" } as UIMessage,
        expectedVersion: 9,
      }),
  ],
  ["a stale copy of the later messages", upsert({ after: messages[0]?.id, messages: [], expectedVersion: 9 })],
  ["a fork under an id that is taken", (store) => store.forkChat({ ...ids, newChatId: ids.chatId, title: secret })],
  ["a chat that is gone", (store) => store.upsertChat({ ...save, chatId: "gone", expectedVersion: 9 })],
  [
    "an answer to a question that was cut",
    async (store) => {
      const { persist } = await store.startTurn({ ...ids, message: say("second") });
      await store.upsertChat({ ...save, messages: [] });
      await persist.onEnd({ responseMessage: say("answer", "assistant") });
    },
  ],
];

const append = upsert({ messages: [...messages, say("new")] });
/** What is done to the tables, and what the store is asked for then. */
const failing: [string, string, Failure][] = [
  ["a constraint on messages", "alter table chat_store.messages add check (role = '') not valid", append],
  [
    "a constraint on titles",
    "alter table chat_store.chats add check (title = '') not valid",
    upsert({ chatId: "new" }),
  ],
  [
    "a trigger that quotes what it saw",
    `create function chat_store.loud() returns trigger language plpgsql as
       $$ begin raise exception 'not %', new.parts using detail = new.metadata, hint = new.chat_id; end $$;
     create trigger loud before insert or update on chat_store.messages for each row execute function chat_store.loud()`,
    append,
  ],
  [
    "a search in columns that are gone",
    "alter table chat_store.messages rename parts to words",
    (store) => store.searchChats({ userId, query: secret }),
  ],
  [
    "a page of columns that are gone",
    "alter table chat_store.messages rename parts to words",
    (store) => store.getMessages({ ...ids, limit: 2 }),
  ],
  [
    "metadata that a trigger refuses",
    `create function chat_store.loud() returns trigger language plpgsql as
       $$ begin raise exception 'not %', new.metadata using detail = new.title; end $$;
     create trigger loud before update on chat_store.chats for each row execute function chat_store.loud()`,
    (store) => store.updateChat({ ...ids, title: secret, metadata: secret }),
  ],
  ["a column that is gone", "alter table chat_store.messages rename parts to words", (store) => store.getChat(ids)],
  ["a table that is gone", "drop table chat_store.messages", append],
  ["tables that are gone", "drop table chat_store.chats cascade", (store) => store.getChats({ userId })],
  [
    "a column that holds no JSON any more",
    `alter table chat_store.messages drop column digest, alter parts type text using '${secret}, unquoted'`,
    (store) => store.getChat(ids),
  ],
];

/** A turn that is recorded, with a recording that has something in it that cannot be read; and who reads it. */
const record = async (store: ChatStore) => {
  const turn = await store.startTurn({ ...ids, message: say("second") });
  const events = [
    `data: {"type":"start","messageId":"a2"}\n\n`,
    `data: {"type":"text-delta","id":"1","delta":"${secret}"}\n\n`,
    `data: {"type":"${secret}\n\n`,
  ];
  await turn.consumeSseStream({ stream: ReadableStream.from(events) });
  return turn;
};
const failingUnderTurns: [string, string, (store: ChatStore, change: () => Promise<unknown>) => Promise<unknown>][] = [
  [
    "a recording that cannot be written",
    "alter table chat_store.turn_chunks add check (text = '') not valid",
    async (store, change) => {
      await change();
      const { persist } = await record(store);
      await persist.onEnd({ responseMessage: say("q", "assistant") });
    },
  ],
  [
    "a recording that is gone",
    "drop table chat_store.turn_chunks",
    async (store, change) => {
      await record(store);
      await change();
      await store.resumeTurn(ids);
    },
  ],
  [
    "a recording that goes under its reader",
    "drop table chat_store.turn_chunks",
    async (store, change) => {
      await record(store);
      const reader = (await store.resumeTurn(ids))?.getReader() ?? expect.fail("nothing runs");
      await reader.read();
      await change();
      for (;;) await reader.read();
    },
  ],
  [
    "turns that are gone",
    "drop table chat_store.turns cascade",
    async (store, change) => {
      await change();
      await store.stopTurn(ids);
    },
  ],
];

/** Everything of an error that may end up in a log, with its causes. */
async function shownOf(error: Error): Promise<string> {
  const all = { depth: Number.POSITIVE_INFINITY, showHidden: true, maxArrayLength: null, maxStringLength: null };
  return [
    ...ownOf(error),
    JSON.stringify(error),
    inspect(error, all),
    format("%O %s", error, error),
    ...(await logged(error)),
  ].join("\n");
}

/** All that hangs on an error, also what is not enumerable, of itself and of everything below it. */
function ownOf(value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  if (seen.has(value)) return [];
  seen.add(value);
  return Reflect.ownKeys(value).flatMap((key) => [String(key), ...ownOf(Reflect.get(value, key), seen)]);
}

/** What loggers that many use make of an error that they are given in the usual ways. */
async function logged(error: Error): Promise<string[]> {
  const lines: string[] = [];
  const stream = new Writable({
    write(line, _, done) {
      lines.push(String(line));
      done();
    },
  });
  const withPino = pino(stream);
  withPino.error(error);
  withPino.error({ err: error, error }, "It failed.");

  const { combine, errors, json, prettyPrint, splat } = winston.format;
  for (const format of [
    combine(errors({ stack: true, cause: true }), json()),
    combine(splat(), prettyPrint({ depth: 20 })),
  ]) {
    const withWinston = winston.createLogger({ format, transports: [new winston.transports.Stream({ stream })] });
    withWinston.error(error);
    withWinston.error("It failed.", { error });
    await new Promise((resolve) => withWinston.on("finish", resolve).end());
  }

  const withConsola = createConsola({
    stdout: stream as never,
    stderr: stream as never,
    formatOptions: { colors: false },
  });
  withConsola.error(error);
  withConsola.error("It failed.", { error });
  expect(lines.length).toBeGreaterThanOrEqual(8);
  return lines;
}

async function expectPrivate(work: Promise<unknown>, codes: string[]): Promise<void> {
  const error: unknown = await work.then(
    () => expect.fail("nothing was thrown"),
    (error: unknown) => error,
  );
  if (!ChatStoreError.isInstance(error)) throw error;
  expect(codes).toContain(error.code);
  expect(await shownOf(error)).not.toContain(secret);
}

describe.each(modes)("the errors of a failing store, $mode", ({ storeOn }) => {
  let url: string;
  let drop: () => Promise<void>;
  let pool: pg.Pool;
  let raw: pg.Client;
  const printed = [
    ...(["debug", "error", "info", "log", "trace", "warn"] as const).map((method) => vi.spyOn(console, method)),
    vi.spyOn(process.stdout, "write"),
    vi.spyOn(process.stderr, "write"),
    vi.spyOn(process, "emitWarning"),
  ];

  beforeAll(async () => {
    ({ url, drop } = await createDatabase());
  });
  beforeEach(async () => {
    pool = new pg.Pool({ connectionString: url, max: 4 });
    pool.on("error", () => {});
    raw = new pg.Client(url);
    await raw.connect();
    await raw.query("drop schema if exists chat_store cascade");
    await migrate(drizzle(pool));
    await createChatStore(drizzle(pool)).upsertChat(save);
    for (const spy of printed) spy.mockClear();
  });
  afterEach(async () => {
    expect(printed.flatMap((spy) => spy.mock.calls)).toEqual([]);
    await Promise.all([pool.end(), raw.end()]);
  });
  afterAll(() => drop());

  test("the error for invalid input shows no chat content", async () => {
    const db = drizzle(pool);
    for (const [name, fail] of invalid) {
      await expectPrivate(fail(storeOn(db), db), ["INVALID_CHAT"]).catch((error: unknown) => {
        throw new Error(name, { cause: error });
      });
    }
  });

  test.each(refused)("the error for %s shows no chat content", async (_, fail) => {
    const db = drizzle(pool);
    await expectPrivate(fail(storeOn(db), db), ["CHAT_NOT_OWNED", "CHAT_CONFLICT"]);
  });

  test.each(failing)("the error for %s shows no chat content", async (_, before, fail) => {
    await raw.query(before);
    const db = drizzle(pool);
    await expectPrivate(fail(storeOn(db), db), ["QUERY_FAILED", "NOT_MIGRATED"]);
  });

  test.each(failingUnderTurns)("the error for %s shows no chat content", async (_, change, fail) => {
    const work = fail(storeOn(drizzle(pool)), () => raw.query(change));
    await expectPrivate(work, ["QUERY_FAILED", "NOT_MIGRATED", "INVALID_CHAT"]);
  });

  /** A save that waits for a lock, until `end` makes an end of it. */
  const interrupted = async (settings: string, end: () => Promise<unknown>) => {
    const waiting = new pg.Pool({ connectionString: url, max: 1, options: settings });
    // A client in a transaction that loses its connection also tells by an event, which nobody else listens to.
    waiting.on("connect", (client) => client.on("error", () => {}));
    waiting.on("error", () => {});
    await raw.query("begin; lock table chat_store.chats");
    const db = drizzle(waiting);
    await Promise.all([expectPrivate(append(storeOn(db), db), ["QUERY_FAILED"]), end()]);
    await raw.query("rollback");
    await waiting.end();
  };
  test("the error for a statement that takes too long shows no chat content", () =>
    interrupted("-c statement_timeout=100", async () => {}));
  test("the error for a lock that takes too long shows no chat content", () =>
    interrupted("-c lock_timeout=100", async () => {}));
  test("the error for a connection that is cut shows no chat content", () =>
    interrupted("-c application_name=waiting", () =>
      eventually("the save waits for the lock, and its connection is cut", async () => {
        const { rowCount } = await pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where application_name = 'waiting' and wait_event_type = 'Lock' and datname = current_database()`,
        );
        return rowCount === 1;
      }),
    ));

  test("the error for a server that is not there shows no chat content", async () => {
    const nowhere = drizzle(new pg.Pool({ host: "127.0.0.1", port: 1 }));
    await expectPrivate(append(storeOn(nowhere), nowhere), ["QUERY_FAILED"]);
    await expectPrivate(storeOn(nowhere).getChat(ids), ["QUERY_FAILED"]);
  });

  test("the error for a read-only database shows no chat content", async () => {
    const reading = new pg.Pool({ connectionString: url, max: 1, options: "-c default_transaction_read_only=on" });
    const db = drizzle(reading);
    await expectPrivate(append(storeOn(db), db), ["QUERY_FAILED"]);
    await reading.end();
  });

  test("the error for a transaction that has failed before shows no chat content", async () => {
    const db = drizzle(pool);
    const work = db.transaction(async (tx) => {
      await tx.execute("select 1 / 0").catch(() => {});
      await append(storeOn(tx), tx);
    });
    await expectPrivate(work, ["QUERY_FAILED"]);
  });
});
