import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createChatStore } from "../../src/index.ts";
import { type CapturedDatabase, openCaptured, type Statement } from "../support/captured.ts";

const userId = "ada";

/** What Postgres says of a step of a statement that it has done. */
interface Step {
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  Plans?: Step[];
}

describe("What one search reads", () => {
  let database: CapturedDatabase;
  beforeAll(async () => {
    database = await openCaptured();
    // Whether Postgres uses an index alone depends on which pages vacuum could mark: an older snapshot keeps it from that.
    await database.query("set enable_indexonlyscan = off");
  });
  beforeEach(() => database.query("truncate chat_store.chats cascade"));
  afterAll(() => database.close());

  /** Chats of so many messages each, the first of which is the newest. */
  async function fill(lengths: number[], { text = "hay", metadata = "" } = {}) {
    await database.query(
      `insert into chat_store.chats (id, user_id, title, updated_at, metadata)
       select 'c' || n, $1, 'Chat', now() - n * interval '1 minute', nullif($2, '')::json from generate_series(1, $3::int) n`,
      [userId, metadata, lengths.length],
    );
    await database.query(
      `insert into chat_store.messages (chat_id, id, "order", role, parts)
       select 'c' || c, 'm' || m, m, 'user', json_build_array(json_build_object('type', 'text', 'text', $1::text))
       from unnest($2::int[]) with ordinality lengths(length, c), generate_series(0, length - 1) m`,
      [text, lengths],
    );
    await database.query("vacuum analyze chat_store.chats, chat_store.messages");
  }

  async function search(query: string, from?: string) {
    const search = () => createChatStore(database.db).searchChats({ userId, query, cursor: from });
    const { statements, bytesReceived, outcome } = await database.capture(search);
    expect(statements).toHaveLength(1);
    const found = outcome as Awaited<ReturnType<typeof search>>;
    return { ...found, bytesReceived, plan: await planOf(statements[0] ?? expect.fail()) };
  }

  async function planOf({ text, values }: Statement): Promise<Step> {
    const [row] = await database.query<{ "QUERY PLAN": [{ Plan: Step }] }>(
      `explain (analyze, buffers, format json) ${text}`,
      values,
    );
    return row?.["QUERY PLAN"][0].Plan ?? expect.fail();
  }
  const stepsOf = (step: Step): Step[] => [step, ...(step.Plans ?? []).flatMap(stepsOf)];
  /** Rows of a table, as often as they were read, whether or not they were of use. */
  const rowsRead = (plan: Step, table: string) =>
    stepsOf(plan)
      .filter((step) => step["Relation Name"] === table)
      .map((step) => (step["Actual Rows"] + (step["Rows Removed by Filter"] ?? 0)) * step["Actual Loops"])
      // Newer versions of Postgres give the mean of all loops with two decimals.
      .reduce((total, rows) => total + Math.floor(rows), 0);
  const buffersOf = (plan: Step) => plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];

  test.each([
    ["many chats of a few messages", Array.from({ length: 2_400 }, () => 8), 5],
    ["chats of many messages", Array.from({ length: 30 }, () => 800), 5],
    ["one chat longer than a call", [12_000], 3],
    ["a long chat after short ones", [1, 2, 0, 9_000, 3, 700, 0], 2],
  ])(
    "each call reads at most 5,000 messages and 500 chats, and of each chat its last message: %s",
    async (_, lengths, calls) => {
      await fill(lengths);
      let count = 0;
      for (let from: string | undefined; ; count++) {
        const { cursor, matches, plan } = await search("needle", from);
        expect(matches).toEqual([]);
        expect(rowsRead(plan, "messages")).toBeLessThanOrEqual(5_000 + Math.min(500, lengths.length));
        expect(rowsRead(plan, "chats")).toBeLessThanOrEqual(500);
        if (cursor === null) break;
        from = cursor;
      }
      expect(count + 1).toBe(calls);
    },
  );

  test("a search reads no metadata of a chat in which it finds nothing", async () => {
    await fill(Array.from({ length: 300 }, () => 1));
    const without = await search("hay");
    await database.query("truncate chat_store.chats cascade");
    // Nothing of it can be compressed.
    const metadata = JSON.stringify(Array.from({ length: 3_000 }, () => Math.random()));
    await fill(
      Array.from({ length: 300 }, () => 1),
      { metadata },
    );
    const [nothing, some] = [await search("needle"), await search("hay")];
    expect(nothing.bytesReceived).toBeLessThan(1_000);
    expect(buffersOf(nothing.plan)).toBeLessThan(buffersOf(without.plan) + 60);
    expect(some.matches).toHaveLength(20);
    expect(some.matches[0]?.chat.metadata).toEqual(JSON.parse(metadata));
    expect(buffersOf(some.plan)).toBeLessThan(buffersOf(without.plan) + 21 * (metadata.length / 2_000 + 5));
  });

  test("a search gives JavaScript 2 MB of what it has found, and one message more, however well all of it is compressed", async () => {
    const text = `${"hay ".repeat(225_000)}needle`;
    await fill([20], { text });
    const ids: (string | null)[] = [];
    for (let from: string | undefined; ; ) {
      const { cursor, matches, bytesReceived } = await search("NEEDLE", from);
      expect(bytesReceived).toBeLessThan(3_000_000);
      ids.push(...matches.map(({ messageId }) => messageId));
      if (cursor === null) break;
      from = cursor;
    }
    expect(ids).toEqual(Array.from({ length: 20 }, (_, index) => `m${19 - index}`));
  });
});
