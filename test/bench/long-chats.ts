import { createChatStore } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { say } from "../support/conversations.ts";
import { countingProxy } from "../support/counting-proxy.ts";
import type { Contenders } from "./contenders.ts";
import { median, prose } from "./races.ts";
import { columns } from "./report.ts";

const userId = "ada";
const [short, long] = [100, 10_000];

/** What is done to a chat of either length, again and again. */
type Work = (store: ReturnType<typeof createChatStore>, ids: { userId: string; chatId: string }) => Promise<unknown>;
const works: Record<string, Work> = {
  "open its last 30": (store, ids) => store.getMessages({ ...ids, limit: 30 }),
  "its first 30": (store, ids) => store.getMessages({ ...ids, limit: 30, before: "message-30" }),
  "a turn in a window of 40": async (store, ids) => {
    const turn = await store.startTurn({ ...ids, limit: 40, message: say("user", "And then?") });
    await turn.persist.onEnd({ responseMessage: say("assistant", "Nothing.", turn.persist.generateMessageId()) });
  },
};

export interface LongChatResult {
  what: string;
  messages: number;
  statements: number;
  kilobytes: number;
  buffers: number;
  milliseconds: number;
}

/** A chat of 10,000 messages of 2 KB beside one of 100, in turns. */
export async function measureLongChats(
  { ours }: Contenders,
  url: string,
  raw: pg.Client,
  seconds: number,
): Promise<LongChatResult[]> {
  const proxy = await countingProxy(url);
  const pool = new pg.Pool({ connectionString: proxy.url, max: 1 });
  let sent: { text: string; values: unknown[] }[] = [];
  const counted = createChatStore(
    drizzle(pool, { logger: { logQuery: (text, values) => sent.push({ text, values }) } }),
  );
  const direct = new pg.Pool({ connectionString: url, max: 1 });
  const timed = createChatStore(drizzle(direct));
  // Their ends do not wait for the last connection, which the server may then be the one to close.
  for (const each of [pool, direct]) each.on("error", () => {});
  try {
    for (const length of [short, long]) await ours.save(`long ${length}`, prose(length));
    await raw.query("vacuum analyze");
    await pool.query("select 1");

    /** Takes away what a turn has added, so that the next one finds the same window. Not timed. */
    const cut = (messages: number) =>
      raw.query('delete from chat_store.messages where chat_id = $1 and "order" >= $2', [`long ${messages}`, messages]);

    const results: LongChatResult[] = [];
    for (const [what, work] of Object.entries(works)) {
      const field = [short, long].map((messages) => ({ messages, ids: { userId, chatId: `long ${messages}` } }));
      const times = new Map(field.map(({ messages }) => [messages, [] as number[]]));
      const end = performance.now() + seconds * 1_000;
      for (let round = 0; round < 7 || performance.now() < end; round++) {
        for (const { messages, ids } of field) {
          const start = performance.now();
          await work(timed, ids);
          if (round >= 2) times.get(messages)?.push(performance.now() - start);
          await cut(messages);
        }
        field.reverse();
      }
      for (const { messages, ids } of field.toSorted((a, b) => a.messages - b.messages)) {
        sent = [];
        const { statements, bytesReceived } = await proxy.count(() => work(counted, ids));
        await cut(messages);
        results.push({
          what,
          messages,
          statements,
          kilobytes: bytesReceived / 1_000,
          buffers: await buffersOf(raw, sent[0]),
          milliseconds: median(times.get(messages) ?? []),
        });
      }
    }
    return results;
  } finally {
    await Promise.all([pool.end(), direct.end()]);
    await proxy.close();
  }
}

/** How many pages of the database a statement touches, which is taken back. */
export async function buffersOf(raw: pg.Client, statement: { text: string; values: unknown[] } | undefined) {
  type Plan = { Plan: { "Shared Hit Blocks": number; "Shared Read Blocks": number } };
  const explain = `explain (analyze, buffers, format json) ${statement?.text}`;
  const { rows } = await raw.query<{ "QUERY PLAN": Plan[] }>(explain, statement?.values);
  const plan = rows[0]?.["QUERY PLAN"][0]?.Plan;
  return plan ? plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] : Number.NaN;
}

/** Times of the long chat by those of the short one. */
export const longByShort = (results: readonly LongChatResult[], what: string) => {
  const timeOf = (length: number) =>
    results.find((result) => result.what === what && result.messages === length)?.milliseconds ?? Number.NaN;
  return timeOf(long) / timeOf(short);
};

export function longChatTable(results: readonly LongChatResult[], { markdown }: { markdown: boolean }): string {
  const rows = results.map(({ what, messages, statements, kilobytes, buffers, milliseconds }) => [
    what,
    messages.toLocaleString("en"),
    `${statements}`,
    `${kilobytes.toFixed(0)} kB`,
    `${buffers}`,
    `${milliseconds.toFixed(2)} ms`,
    messages === long ? longByShort(results, what).toFixed(2) : "",
  ]);
  const head = ["", "messages", "statements", "received", "buffers of its load", "time", "÷ 100 messages"];
  return columns([head, ...rows], { markdown, texts: 1 });
}
