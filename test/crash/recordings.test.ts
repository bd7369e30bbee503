import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, migrate, type Turn } from "../../src/index.ts";
import { say, textOf } from "../support/conversations.ts";
import { createServer, type Server } from "../support/crash/server.ts";
import { eventually } from "../support/eventually.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { isLong } from "../support/long-run.ts";
import { answer, speaker } from "../support/scripted-model.ts";

let server: Server;
let store: ChatStore;
beforeAll(async () => {
  server = await createServer();
  // Or it depends on the moment of a kill what of a recording is written down by then.
  await server.start("wal_writer_delay=10s");
  const { db, end } = connect(server.url);
  await migrate(db);
  store = createChatStore(db);
  return async () => {
    await end();
    await server.remove();
  };
});

function connect(connectionString: string) {
  const pool = new pg.Pool({ connectionString, max: 5 });
  pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  return { db: drizzle(pool), end: () => pool.end() };
}

const words = Array.from({ length: 30 }, (_, index) => `word ${index} `);
/** The text of a stream so far, when it ends, and whether it broke. */
function follow(stream: ReadableStream<Uint8Array>) {
  let [text, rest] = ["", ""];
  const reading = async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      const events = (rest + part).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        if (event.startsWith("data: {")) text += JSON.parse(event.slice(6)).delta ?? "";
      }
    }
  };
  const ended = reading().then(
    () => "ended",
    () => "broke",
  );
  return { text: () => text, ended };
}

const whole = words.join("");
const firstTen = words.slice(0, 10).join("");

/** An answer of which ten words are said, its client, and a reader who has joined it. */
async function begin(on = store) {
  const ids = { userId: "u", chatId: randomUUID() };
  const turn = await on.startTurn({ ...ids, message: say("user", "Why?", "q1") });
  const voice = speaker();
  let recorded: Promise<void> | undefined;
  const consumeSseStream: Turn["consumeSseStream"] = (options) => {
    recorded = turn.consumeSseStream(options);
    return recorded;
  };
  const client = follow((await answer({ ...turn, consumeSseStream }, voice.model)).body ?? expect.fail("no body"));
  let said = 0;
  const sayUntil = async (count: number) => {
    for (; said < count; said++) voice.say(words[said] ?? "");
    // It arrives whatever the database does.
    await expect.poll(client.text).toBe(words.slice(0, count).join(""));
  };
  const join = async () => follow((await on.resumeTurn(ids)) ?? expect.fail("nothing runs"));
  const stored = async () => textOf((await on.getChat(ids))?.messages[1]);
  await sayUntil(10);
  const reader = await join();
  await expect.poll(reader.text).toBe(firstTen);
  /** Resolves when the recorder writes nothing more, whether all is recorded or not. */
  const recording = () => recorded;
  return { ids, turn, voice, client, reader, join, sayUntil, stored, recording };
}

async function lockRecordings(server: Server): Promise<() => Promise<unknown>> {
  const client = new pg.Client(server.url);
  await client.connect();
  await client.query("begin; lock table chat_store.turns, chat_store.turn_chunks in access exclusive mode");
  return async () => {
    await sleep(3_000);
    await client.query("commit");
    await client.end();
  };
}

/** What may happen under an answer: from its tenth word on, until its twentieth. */
const troubles: Record<string, (server: Server) => Promise<() => Promise<unknown>>> = {
  "Postgres is killed and started again": async (server) => {
    await server.query("checkpoint");
    await server.kill();
    return () => server.start();
  },
  "Postgres is restarted": async (server) => {
    await server.stop();
    return () => server.start();
  },
  "all connections are ended": async (server) => {
    await server.query("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()");
    return async () => {};
  },
  "the recordings are locked": lockRecordings,
};

const [killed = expect.fail(), ...others] = Object.entries(troubles);
describe.each([
  { of: [killed], isRun: true },
  { of: others, isRun: isLong },
])("An answer while the database fails", ({ of, isRun }) => {
  test.runIf(isRun).each(of)("the answer goes on and is stored when %s", async (_, trouble) => {
    const { voice, client, reader, join, sayUntil, stored } = await begin();
    const end = await trouble(server);
    await sayUntil(20);
    await end();
    await sayUntil(30);
    const late = await join();
    await expect.poll(late.text).toBe(whole);
    await voice.finish();
    expect(await client.ended).toBe("ended");
    expect(await stored()).toBe(whole);
    expect(await late.ended).toBe("ended");
    // Whose connection broke has seen nothing that was not said.
    if ((await reader.ended) === "ended") expect(reader.text()).toBe(whole);
    else expect(whole.startsWith(reader.text())).toBe(true);
  });
});

test("the answer goes on and is stored when a killed Postgres loses part of the recording", async () => {
  const { ids, turn, voice, client, join, sayUntil, stored } = await begin();
  await server.kill();
  await server.start();
  await sayUntil(30);
  const late = await join();
  // Its writer finds a piece missing, gives the recording up, and gives signs of life again.
  await eventually("the turn gives a sign of life to the new server", async () => {
    const alive = "select from chat_store.turns where chat_id = $1 and beat_at > pg_postmaster_start_time()";
    return (await server.query(alive, [ids.chatId])).length > 0;
  });
  expect(turn.abortSignal.aborted).toBe(false);
  await voice.finish();
  expect(await client.ended).toBe("ended");
  expect(await stored()).toBe(whole);
  expect(await late.ended).toBe("ended");
  expect(whole.startsWith(late.text())).toBe(true);
});

test.runIf(isLong)("an answer that ends while the recordings are locked is stored after the lock", async () => {
  const { voice, client, reader, sayUntil, stored } = await begin();
  const end = await lockRecordings(server);
  await sayUntil(30);
  await voice.finish();
  await end();
  expect(await client.ended).toBe("ended");
  expect(await stored()).toBe(whole);
  // Its end is not recorded if the answer was stored first.
  expect(await reader.ended).toBe("ended");
  expect(whole.startsWith(reader.text())).toBe(true);
});

test.runIf(isLong)(
  "the recorded part of an answer that ends while Postgres is down is stored, and a second onEnd stores all of it",
  async () => {
    const { ids, turn, voice, client, reader, join, sayUntil, stored, recording } = await begin();
    await server.stop();
    await sayUntil(30);
    await voice.finish();
    // So that the browser knows.
    expect(await client.ended).toBe("broke");
    expect(await reader.ended).toBe("broke");
    // Or the recorder would write the rest to the server that comes back.
    await recording();
    await server.start();
    await server.query("update chat_store.turns set beat_at = 'epoch' where chat_id = $1", [ids.chatId]);
    const interrupted = await join();
    expect(await interrupted.ended).toBe("ended");
    expect(interrupted.text()).toBe(firstTen);
    expect(await stored()).toBe(firstTen);

    const responseMessage = say("assistant", whole, turn.persist.generateMessageId());
    await turn.persist.onEnd({ responseMessage });
    expect((await store.getChat(ids))?.messages).toHaveLength(2);
    expect(await stored()).toBe(whole);
  },
);

test("the answer goes on and is stored when Postgres fails over to a standby", async () => {
  const primary = await createServer();
  onTestFinished(primary.remove);
  await primary.start();
  const setUp = connect(primary.url);
  await migrate(setUp.db);
  await setUp.end();
  await primary.stop();
  const standby = await primary.copyAsStandby();
  onTestFinished(standby.remove);
  await primary.start("synchronous_standby_names=*");
  await standby.start("synchronous_standby_names=");
  await primary.isFollowed("sync");
  const proxy = await faultyProxy(primary.url);
  const { db, end } = connect(proxy.url);
  onTestFinished(async () => {
    await end();
    await proxy.close();
  });

  const { voice, client, reader, join, sayUntil, stored } = await begin(createChatStore(db));
  await primary.kill();
  proxy.aimAt(standby.url);
  await sayUntil(20);
  await standby.promote();
  await sayUntil(30);
  // Of what is recorded a standby may have less than the primary had, and readers see that it ends.
  const late = await join();
  await voice.finish();
  expect(await client.ended).toBe("ended");
  expect(await stored()).toBe(whole);
  for (const { text, ended } of [reader, late]) {
    await ended;
    expect(whole.startsWith(text())).toBe(true);
  }
});
