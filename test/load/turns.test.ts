import { randomUUID } from "node:crypto";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import {
  consumeStream,
  convertToModelMessages,
  createUIMessageStreamResponse,
  streamText,
  toUIMessageStream,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, migrate, type Turn } from "../../src/index.ts";
import { say, textOf } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { createLatencies } from "../support/latencies.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

/** At once, in one process. */
const turns = Number(process.env.LOAD_TURNS ?? 50);
const seconds = Number(process.env.LOAD_TURN_SECONDS ?? 4);
const random = seeded();
const wordsPerSecond = Number(process.env.LOAD_WORDS_PER_SECOND ?? 30);

/** A model that says for each word when it says it, and ends when it may. */
function clock(words = seconds * wordsPerSecond, pause = 1_000 / wordsPerSecond, mayEnd = Promise.resolve()) {
  async function* parts() {
    yield { type: "stream-start", warnings: [] };
    yield { type: "text-start", id: "1" };
    const began = performance.now();
    for (let word = 1; word <= words; word++) {
      yield { type: "text-delta", id: "1", delta: `${performance.now().toFixed(3).padStart(13, "0")} ` };
      const ahead = began + word * pause - performance.now();
      if (ahead > 0) await sleep(ahead);
    }
    await mayEnd;
    yield { type: "text-end", id: "1" };
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
    yield { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage };
  }
  return new MockLanguageModelV4({ doStream: async () => ({ stream: ReadableStream.from(parts()) as never }) });
}

type Consume = Turn["consumeSseStream"];
const recorded = (turn: Turn): Consume => turn.consumeSseStream;
const notRecorded = (): Consume => (options) => consumeStream(options);

/** What a route handler does. */
async function answer(turn: Turn, model: MockLanguageModelV4, consume = recorded): Promise<ReadableStream<Uint8Array>> {
  const result = streamText({
    model,
    messages: await convertToModelMessages(turn.messages),
    abortSignal: turn.abortSignal,
    onError: () => {},
  });
  const { body } = createUIMessageStreamResponse({
    stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
    consumeSseStream: consume(turn),
  });
  return body ?? expect.fail("no body");
}

/** Reads an answer to its end. Gives its text, and tells of every word how many milliseconds ago it was said. */
async function read(stream: ReadableStream<Uint8Array>, heard: (age: number) => void = () => {}): Promise<string> {
  let [text, rest] = ["", ""];
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const events = (rest + part).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      if (!event.startsWith('data: {"type":"text-delta"')) continue;
      const { delta } = JSON.parse(event.slice(6));
      for (const word of delta.trim().split(" ")) heard(performance.now() - Number(word));
      text += delta;
    }
  }
  return text;
}

let database: Awaited<ReturnType<typeof createDatabase>>;
beforeAll(async () => {
  database = await createDatabase();
  const { db, end } = connect(1);
  await migrate(db);
  await end();
  return database.drop;
});

/** A pool, and how many statements went through it. */
function connect(max: number) {
  const pool = new pg.Pool({ connectionString: database.url, max });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  let statements = 0;
  const logger = { logQuery: () => void statements++ };
  return { db: drizzle(pool, { logger }), pool, statements: () => statements, end: () => pool.end() };
}

function open() {
  const [writer, reader] = [connect(10), connect(10)];
  onTestFinished(async () => void (await Promise.all([writer.end(), reader.end()])));
  const walBytes = async (): Promise<number> => {
    const { rows } = await reader.pool.query("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float bytes");
    return rows[0].bytes;
  };
  return { writer, reader, store: createChatStore(writer.db), elsewhere: createChatStore(reader.db), walBytes };
}

const ask = (store: ChatStore, ids: { userId: string; chatId: string }) =>
  store.startTurn({ ...ids, message: say("user", "What time is it?", "q1") });
const newChat = () => ({ userId: "u", chatId: randomUUID() });

const measured: { name: string; lasted: number; statements: number; cut: number }[] = [];

test.runIf(isLong)(`readers in another pool follow ${turns} turns at once`, async () => {
  const { writer, store, elsewhere, walBytes } = open();
  const latencies = createLatencies();
  const heard = (kind: string) => (age: number) => latencies.add(kind, age);
  const figures: Record<string, object> = {};

  for (const [name, consume] of Object.entries({ "not recorded": notRecorded, recorded })) {
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    let cut = 0;
    const [wal, statements, began] = [await walBytes(), writer.statements(), performance.now()];
    await Promise.all(
      Array.from({ length: turns }, async (_, index) => {
        await sleep((index * 250) / turns);
        const ids = newChat();
        const turn = await ask(store, ids);
        const sent = read(await answer(turn, clock(), consume), heard(`${name}, client`));
        const joined = name === "recorded" ? await elsewhere.resumeTurn(ids) : undefined;
        const followed = joined ? await read(joined, heard("recorded, reader elsewhere")) : await sent;
        const stored = (await elsewhere.getChat(ids))?.messages;
        // The end of a turn waits no longer than a second for its recording.
        expect((await sent).startsWith(followed), "a reader gets nothing but what the client got").toBe(true);
        if (followed !== (await sent)) cut++;
        expect(stored?.length).toBe(2);
        expect(textOf(stored?.at(-1)) === (await sent), "what is stored is what the client got").toBe(true);
      }),
    );
    delay.disable();
    const lasted = (performance.now() - began) / 1_000;
    const each = (total: number) => Number((total / turns).toFixed(1));
    figures[name] = {
      "cut short for readers": cut,
      "statements a turn": each(writer.statements() - statements),
      "WAL a turn, kB": each(((await walBytes()) - wal) / 1_000),
      "event loop p99, ms": Math.round(delay.percentile(99) / 1e6),
    };
    measured.push({ name, lasted, statements: (writer.statements() - statements) / turns, cut });
  }
  console.table(figures);
  const [, ...lags] = latencies.summary();
  const rounded = (value: number) => Number(value.toFixed(2));
  const rows = lags.map(({ kind, p50, p99, max }) => [
    kind,
    { "p50 ms": rounded(p50), "p99 ms": rounded(p99), "max ms": rounded(max) },
  ]);
  console.table(Object.fromEntries(rows));
  const times = (of: "p50" | "p99") => {
    const [without, recorded] = ["not recorded, client", "recorded, client"].map(
      (name) => lags.find(({ kind }) => kind === name)?.[of] ?? Number.NaN,
    ) as [number, number];
    return (recorded / without).toFixed(2);
  };
  console.log(`the client's lag, recorded ÷ not recorded: p50 ${times("p50")}, p99 ${times("p99")}`);
});

test.runIf(isLong)("every reader gets the whole answer, and a turn takes at most four statements a second", () => {
  expect(measured).toHaveLength(2);
  expect(measured.map(({ cut }) => cut)).toEqual([0, 0]);
  for (const { name, lasted, statements } of measured) {
    // A load, a question and an answer; and beside them one now and four a second, the rest of it with the end.
    expect(statements).toBeLessThanOrEqual(name === "recorded" ? 5 + 4 * lasted : 3);
  }
});

test.runIf(isLong)("readers who stay get the whole answer while others come and go", async () => {
  const { store, reader, elsewhere } = open();
  const { below } = random.fork();
  const ids = newChat();
  const turn = await ask(store, ids);
  const sent = read(await answer(turn, clock()));
  const statements = reader.statements();
  const stay = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      await sleep(below(seconds * 900));
      const stream = (await elsewhere.resumeTurn(ids)) ?? expect.fail("nothing runs");
      if (index % 2) return read(stream);
      const leaving = stream.getReader();
      await leaving.read();
      await sleep(below(500));
      await leaving.cancel();
      return undefined;
    }),
  );
  const texts = stay.filter((text) => text !== undefined);
  expect(texts).toHaveLength(25);
  const whole = await sent;
  expect(texts.every((text) => text === whole)).toBe(true);
  console.log(`50 readers of one answer: ${reader.statements() - statements} statements in ${seconds} s`);
});

test.runIf(isLong)("turns hear a stop, and a reader gets a long answer replayed", async () => {
  const { store, reader, elsewhere } = open();
  const latencies = createLatencies();
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const ids = newChat();
      const turn = await ask(store, ids);
      const said = read(await answer(turn, clock(10_000)));
      await sleep(500 + index * 40);
      const began = performance.now();
      const heard = new Promise((resolve) => turn.abortSignal.addEventListener("abort", resolve));
      expect(await elsewhere.stopTurn({ ...ids, messageId: "q1" })).toBe(true);
      await heard;
      latencies.add("until a stop is heard", performance.now() - began);
      const text = await said;
      expect(textOf((await elsewhere.getChat(ids))?.messages.at(-1)) === text, "what was said is stored").toBe(true);
    }),
  );

  let end = () => {};
  const mayEnd = new Promise<void>((resolve) => {
    end = resolve;
  });
  const words = 20_000;
  const count = (all: () => void) => {
    let heard = 0;
    return () => {
      if (++heard === words) all();
    };
  };
  const ids = newChat();
  const turn = await ask(store, ids);
  let sent: Promise<string> | undefined;
  const model = clock(words, 0, mayEnd);
  const stream = await answer(turn, model);
  await new Promise<void>((resolve) => {
    sent = read(stream, count(resolve));
  });
  // Each word is 14 characters of it.
  const recorded = "select from chat_store.turn_chunks where chat_id = $1 having sum(length(text)) >= $2";
  await eventually("all of it is recorded", async () => {
    return (await reader.pool.query(recorded, [ids.chatId, words * 14])).rowCount;
  });
  const began = performance.now();
  const times: number[] = [];
  const all = count(end);
  const replayed = await read((await elsewhere.resumeTurn(ids)) ?? expect.fail("nothing to resume"), () => {
    times.push(performance.now() - began);
    all();
  });
  expect(replayed === (await sent)).toBe(true);
  latencies.add(`to the first word of ${Math.round(replayed.length / 1_000)} kB`, times[0] ?? Number.NaN);
  latencies.add("to its last word", times.at(-1) ?? Number.NaN);
  console.table(
    Object.fromEntries(
      latencies
        .summary()
        .slice(1)
        .map(({ kind, p50, p99 }) => [kind, { "p50 ms": Math.round(p50), "p99 ms": Math.round(p99) }]),
    ),
  );
});

test.runIf(isLong)("memory stays flat over many recorded turns", async () => {
  const { store } = open();
  const many = Number(process.env.LOAD_RECORDED_TURNS ?? 600);
  const used = () => {
    for (let round = 0; round < 2; round++) (globalThis.gc ?? expect.fail("expected node --expose-gc"))();
    return process.memoryUsage().heapUsed;
  };
  const takeTurns = async (count: number) => {
    for (let taken = 0; taken < count; taken += 10) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const turn = await ask(store, newChat());
          await read(await answer(turn, clock(50, 0)));
        }),
      );
    }
    await sleep(1_500);
    return used();
  };
  const before = await takeTurns(many / 3);
  const grown = (await takeTurns((many * 2) / 3)) - before;
  console.log(`${many} recorded turns: the heap has grown by ${Math.round(grown / 1_000)} kB over the last two thirds`);
  expect(grown).toBeLessThan(2_000_000);
});
