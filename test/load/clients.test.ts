import type { UIMessage } from "ai";
import { describe, expect, onTestFinished, test } from "vitest";
import { ChatConflictError, type ChatDatabase, createChatStore } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { openWith, pools } from "../support/databases.ts";
import { createLatencies } from "../support/latencies.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

const seconds = Number(process.env.LOAD_SECONDS ?? (isLong ? 8 : 2));
const random = seeded();
const clients = 64;
const connections = 10;

/** Of a hundred things that a client asks for. */
const mix = {
  "append to its own chat": 30,
  "edit its own chat": 5,
  "load a chat": 25,
  "list chats": 15,
  "change a shared chat": 10,
  "change a shared chat in a transaction": 5,
  "take a turn in a shared chat": 10,
};
type Kind = keyof typeof mix;
const kinds = Object.keys(mix) as Kind[];
const deck = kinds.flatMap((kind) => Array<Kind>(mix[kind]).fill(kind));

/** A turn's question and its answer are measured apart. */
const rowsOfRun = kinds.length + 1;

interface Ids {
  userId: string;
  chatId: string;
}

/** What all of one run share. */
function createRun(db: ChatDatabase) {
  let end = Number.POSITIVE_INFINITY;
  const failures: unknown[] = [];
  const written = new Map<string, Ids & { byClient: Map<string, UIMessage[]> }>();
  const lives = [0, 0, 0, 0];
  const latencies = createLatencies();
  const { below } = random.fork();
  return {
    db,
    store: createChatStore(db),
    latencies,
    conflicts: 0,
    failures,
    begin: () => {
      end = Date.now() + seconds * 1_000;
    },
    /** However slow the machine is: when each kind was done, and the time is over. */
    isOver: () => failures.length > 0 || (Date.now() > end && latencies.kinds() === rowsOfRun),

    /** One of the chats in which all clients write. */
    shared(): Ids {
      const place = below(lives.length);
      return { userId: "everyone", chatId: `shared ${place}, life ${lives[place]}` };
    },
    /** A conversation that is long enough: its place is taken by a new one. */
    retire({ chatId }: Ids) {
      for (const [place, life] of lives.entries()) {
        if (chatId === `shared ${place}, life ${life}`) lives[place] = life + 1;
      }
    },

    written,
    /** The messages of one client that were acknowledged in one chat, in their order there. */
    acknowledged: ({ userId, chatId }: Ids, client: string): UIMessage[] => {
      const chat = written.get(chatId) ?? { userId, chatId, byClient: new Map<string, UIMessage[]>() };
      written.set(chatId, chat);
      const messages = chat.byClient.get(client) ?? [];
      chat.byClient.set(client, messages);
      return messages;
    },
  };
}
type Run = ReturnType<typeof createRun>;

/** Begins with a chat of its own, of this length, and gives what it then does over and over. */
async function createClient(run: Run, client: string, length: number) {
  const { below, chance, pick } = random.fork();
  const { db, store, shared, retire, acknowledged, isOver } = run;
  const measure = <T>(kind: string, work: () => Promise<T>) => run.latencies.measure(kind, client, work);
  let running = 0;
  const write = (role: UIMessage["role"]) => {
    const id = `${client}.${++running}`;
    return say(role, `${id} `.padEnd(below(1_000), "word "), id);
  };

  let lives = 0;
  const own = { userId: client, chatId: `${client}, life ${lives}` };
  for (let count = 0; count < length; count++) {
    acknowledged(own, client).push(write(count % 2 ? "assistant" : "user"));
  }
  await store.upsertChat({ ...own, messages: acknowledged(own, client) });

  /** Loads a shared chat, appends to it or edits what this client wrote, and saves it if nobody else did meanwhile. */
  async function change(db: ChatDatabase, ids: Ids): Promise<() => void> {
    const store = createChatStore(db);
    const chat = await store.getChat(ids);
    // Left to turns to create: without a version to expect, a save would replace what another client has created.
    if (!chat) return () => {};
    const mine = acknowledged(ids, client);
    const question = chance(0.3) ? mine.findLast(({ role }) => role === "user") : undefined;
    const message = { ...write("user"), ...(question && { id: question.id }) };
    const messages = question
      ? chat.messages.map((old) => (old.id === question.id ? message : old))
      : [...chat.messages, message];
    await store.upsertChat({ ...ids, messages, expectedVersion: chat.version });
    return () => mine.splice(question ? mine.indexOf(question) : mine.length, 1, message);
  }

  /** Being overtaken is an answer as well, with which a client goes on to something else. */
  async function unlessOvertaken(work: () => Promise<() => void>) {
    try {
      (await work())();
    } catch (error) {
      if (!ChatConflictError.isInstance(error)) throw error;
      run.conflicts++;
    }
  }

  const actions: Record<Kind, (kind: Kind) => Promise<unknown>> = {
    "append to its own chat": async (kind) => {
      if (acknowledged(own, client).length > 500) own.chatId = `${client}, life ${++lives}`;
      const mine = acknowledged(own, client);
      mine.push(write(mine.length % 2 ? "assistant" : "user"));
      await measure(kind, () => store.upsertChat({ ...own, messages: mine }));
    },
    "edit its own chat": async (kind) => {
      const mine = acknowledged(own, client);
      const old = pick(mine);
      mine.splice(mine.indexOf(old), 1, { ...write(old.role), id: old.id });
      await measure(kind, () => store.upsertChat({ ...own, messages: mine }));
    },
    "load a chat": (kind) => {
      const ids = chance(0.5) ? own : shared();
      return measure(kind, () => store.getChat(ids));
    },
    "list chats": (kind) => {
      const { userId } = chance(0.5) ? own : shared();
      return measure(kind, () => store.getChats({ userId, limit: 20 }));
    },
    "change a shared chat": (kind) => measure(kind, () => unlessOvertaken(() => change(db, shared()))),
    "change a shared chat in a transaction": (kind) =>
      measure(kind, () => unlessOvertaken(() => db.transaction((tx) => change(tx, shared())))),
    "take a turn in a shared chat": async () => {
      const ids = shared();
      const [question, answer] = [write("user"), write("assistant")];
      const turn = await measure("start a turn", () => store.startTurn({ ...ids, message: question }));
      await measure("end a turn", () => turn.persist.onEnd({ responseMessage: answer }));
      acknowledged(ids, client).push(question, answer);
      if (turn.messages.length > 200) retire(ids);
    },
  };
  return async () => {
    while (!isOver()) {
      const kind = pick(deck);
      await actions[kind](kind);
    }
  };
}

/** Every chat holds what its clients were told it does: all of it, nothing else, in the order of each. */
async function check({ store, written }: Run) {
  for (const { userId, chatId, byClient } of written.values()) {
    const messages = (await store.getChat({ userId, chatId }))?.messages ?? [];
    for (const [client, theirs] of byClient) {
      expect(messages.filter(({ id }) => id.startsWith(`${client}.`))).toEqual(theirs);
    }
    expect(messages).toHaveLength([...byClient.values()].flat().length);
    // An answer stands right behind its question, whoever else wrote in between.
    const clientsOf = messages.map(({ id }) => id.split(".")[0]);
    expect(messages.filter(({ role }, at) => role === "assistant" && clientsOf[at] !== clientsOf[at - 1])).toEqual([]);
  }
}

describe.each(pools)("64 clients on ten connections of $name", ({ name, connect }) => {
  const measured: { rows?: { kind: string; count: number; "p99 ÷ p50": number }[]; leastShare?: number } = {};

  test("no client waits forever, and the chats hold every acknowledged message", async () => {
    // Waiting for ever becomes an error: for a lock, or within a transaction for another connection.
    const options = encodeURIComponent("-c statement_timeout=120s -c idle_in_transaction_session_timeout=120s");
    const { db, query, close } = await openWith((url) => connect(`${url}?options=${options}`, connections));
    onTestFinished(close);

    const run = createRun(db);
    const loops = await Promise.all(
      Array.from({ length: clients }, (_, number) =>
        createClient(run, `client${number}`, random.pick([1, 10, 100, 400])),
      ),
    );
    run.begin();
    await Promise.all(loops.map((loop) => loop().catch((error: unknown) => run.failures.push(error))));
    if (run.failures.length > 0) throw run.failures[0];
    await check(run);
    expect(await query("select deadlocks::int from pg_stat_database where datname = current_database()")).toEqual([
      { deadlocks: 0 },
    ]);

    const rows = run.latencies.summary().map(({ p50, p99, max, ...row }) => ({
      ...row,
      "p50 ms": Math.round(p50),
      "p99 ms": Math.round(p99),
      "max ms": Math.round(max),
      "p99 ÷ p50": Number((p99 / p50).toFixed(1)),
    }));
    const leastShare = run.latencies.leastShare();
    console.log(`${name}, ${seconds} s, ${run.conflicts} conflicts, least share ${leastShare.toFixed(2)}`);
    console.table(rows);
    expect(rows).toHaveLength(rowsOfRun + 1);
    Object.assign(measured, { rows, leastShare });
  });

  test.runIf(isLong)("the slowest percent of each kind of call takes less than 20 times as long as the median", () => {
    const { rows = expect.fail("the run before has failed") } = measured;
    expect(rows.filter((row) => row["p99 ÷ p50"] >= 20)).toEqual([]);
    // Or the run was idle. Two busy cores do more than ten times as much.
    expect(rows.filter(({ count }) => count < seconds)).toEqual([]);
  });

  // One client among 64 that never gets anything does not show in a percentile.
  test.runIf(isLong)("each client is served more than a tenth as often as the average client", () => {
    expect(measured.leastShare).toBeGreaterThan(0.1);
  });
});
