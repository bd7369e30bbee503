import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import { type ChatStore, createChatStore, migrate } from "../../src/index.ts";
import { say } from "../conversations.ts";
import { answer, speaker } from "../turns/speaker.ts";
import { createServer, type Server } from "./server.ts";

let server: Server;
let store: ChatStore;
beforeAll(async () => {
  server = await createServer();
  await server.start();
  const pool = new pg.Pool({ connectionString: server.url, max: 5, connectionTimeoutMillis: 5_000 });
  pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  const db = drizzle(pool);
  await migrate(db);
  store = createChatStore(db);
  return async () => {
    await pool.end();
    await server.remove();
  };
});

const words = Array.from({ length: 30 }, (_, index) => `word ${index} `);
const textOf = (message: UIMessage | undefined) =>
  message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

/** The text of a stream so far, when it ends, and whether it broke. */
function follow(stream: ReadableStream<Uint8Array>) {
  let [text, rest] = ["", ""];
  const reading = async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      const events = (rest + part).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        if (event.startsWith('data: {"type":"text-delta"')) text += JSON.parse(event.slice(6)).delta;
      }
    }
  };
  const ended = reading().then(
    () => "ended",
    () => "broke",
  );
  return { text: () => text, ended };
}

/** What may happen under an answer: from its tenth word on, until its twentieth. */
const troubles: Record<string, (server: Server) => Promise<() => Promise<unknown>>> = {
  "Postgres is killed and started again": async (server) => {
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
  "the recordings are locked": async (server) => {
    const client = new pg.Client(server.url);
    await client.connect();
    await client.query("begin; lock table chat_store.turns, chat_store.turn_chunks in access exclusive mode");
    return async () => {
      await sleep(3_000);
      await client.query("commit");
      await client.end();
    };
  },
};

test.each(Object.entries(troubles))(
  "%s, and the answer goes on and is stored",
  { timeout: 60_000 },
  async (_, begin) => {
    const ids = { userId: "u", chatId: randomUUID() };
    const turn = await store.startTurn({ ...ids, message: say("user", "Why?", "q1") });
    const voice = speaker();
    const client = follow((await answer(turn, voice.model)).body ?? expect.fail("no body"));
    const sayUntil = async (count: number) => {
      const soFar = words.slice(0, count).join("");
      for (const word of words.slice(0, count)) if (!client.text().includes(word)) voice.say(word);
      // It arrives whatever the database does.
      await expect.poll(client.text, { timeout: 20_000 }).toBe(soFar);
    };

    await sayUntil(10);
    const reader = follow((await store.resumeTurn(ids)) ?? expect.fail("nothing runs"));
    await expect.poll(reader.text).toBe(words.slice(0, 10).join(""));
    const end = await begin(server);
    await sayUntil(20);
    await end();
    await sayUntil(30);
    const whole = words.join("");
    const late = follow((await store.resumeTurn(ids)) ?? expect.fail("nothing runs"));
    await expect.poll(late.text, { timeout: 20_000 }).toBe(whole);
    await voice.finish();
    expect(await client.ended).toBe("ended");
    expect(textOf((await store.getChat(ids))?.messages[1])).toBe(whole);
    expect(await late.ended).toBe("ended");
    // Whose connection broke has seen nothing that was not said.
    if ((await reader.ended) === "ended") expect(reader.text()).toBe(whole);
    else expect(whole.startsWith(reader.text())).toBe(true);
  },
);
