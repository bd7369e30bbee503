import assert from "node:assert/strict";
import type pg from "pg";
import { say } from "../conversations.ts";
import type { Contenders } from "./contenders.ts";

type Name = "ours" | "tutorial" | "floor";
const everyone = ["ours", "tutorial", "floor"] as const;
const readers = ["ours", "floor"] as const;

/** Medians; null for who did not take part. */
export interface Outcome {
  unit: "ms" | "saves/s";
  ours: number;
  tutorial: number | null;
  floor: number;
  rounds: number;
}

interface Entrant {
  run(): Promise<unknown>;
  /** Undoes the run. Not timed. */
  reset?(): Promise<unknown>;
}

/** Everybody once a round, taking turns at going first, so that a noisy moment hits all alike. */
async function race<N extends Name>(names: readonly N[], entrant: (name: N) => Entrant, seconds: number) {
  const warmUps = 2;
  const times: Record<Name, number[]> = { ours: [], tutorial: [], floor: [] };
  const field = names.map((name) => ({ name, ...entrant(name) }));
  const end = performance.now() + seconds * 1_000;
  for (let round = 0; round < warmUps + 5 || performance.now() < end; round++) {
    for (const { name, run, reset } of field) {
      const start = performance.now();
      await run();
      const time = performance.now() - start;
      if (round >= warmUps) times[name].push(time);
      await reset?.();
    }
    field.push(...field.splice(0, 1));
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  const tutorial = times.tutorial.length > 0 ? median(times.tutorial) : null;
  return {
    unit: "ms" as const,
    ours: median(times.ours),
    tutorial,
    floor: median(times.floor),
    rounds: times.ours.length,
  };
}

export const lengths = [10, 100, 1_000];
export const clients = 16;
const savesPerClient = 3;
/** Whose list of chats is read. */
export const reader = "grace";
const conversation = prose(Math.max(...lengths) + savesPerClient);
const chatId = (name: Name, length: number, client = 0) => `${name} ${length} ${client}`;

/** What all races start from: chats to save and load, a long list, and the chats of others around them. */
export async function fill({ ours, tutorial }: Contenders, raw: pg.Client): Promise<void> {
  const others = `select md5(chat::text), 'm' || n, n, 'user', json_build_array(json_build_object('text', repeat('hello ', 50)))
    from generate_series(1, 3000) chat, generate_series(0, 9) n`;
  await raw.query(
    `insert into chat_store.chats (id, user_id, title, updated_at)
    select md5(n::text), case when n % 20 = 0 then '${reader}' else 'user ' || n % 1900 end, 'What was said in chat ' || n,
      now() - random() * interval '1 year'
    from generate_series(1, 100000) n;
    insert into chat_store.messages (chat_id, id, "order", role, parts) ${others};
    insert into plain.chats select id, user_id from chat_store.chats;
    insert into plain.messages ${others}`,
  );
  for (const length of lengths) {
    const messages = conversation.slice(0, length);
    for (let client = 0; client < (length === 100 ? clients : 1); client++) {
      await ours.save(chatId("ours", length, client), messages);
      await tutorial.save(chatId("tutorial", length, client), messages);
      await tutorial.save(chatId("floor", length, client), messages);
    }
  }
  await raw.query("vacuum analyze");
}

/** Appends one message to a chat of so many; or a few, one by one, each of some clients at once to a chat of its own. */
function append(contenders: Contenders, raw: pg.Client, length: number, { clients = 1, saves = 1 } = {}) {
  return (name: Name): Entrant => {
    const { save, table } = contenders[name];
    const ids = Array.from({ length: clients }, (_, client) => chatId(name, length, client));
    return {
      run: () =>
        Promise.all(
          ids.map(async (id) => {
            for (let more = 1; more <= saves; more++) await save(id, conversation.slice(0, length + more));
          }),
        ),
      reset: async () => {
        const added = `delete from ${table} where chat_id = any ($1) and "order" >= $2`;
        // Also the proof that all of them had been saved.
        assert.equal((await raw.query(added, [ids, length])).rowCount, clients * saves);
      },
    };
  };
}

export const raceSaves = (contenders: Contenders, raw: pg.Client, length: number, seconds: number) =>
  race(everyone, append(contenders, raw, length), seconds);

export async function raceConcurrentSaves(contenders: Contenders, raw: pg.Client, seconds: number): Promise<Outcome> {
  const entrant = append(contenders, raw, 100, { clients, saves: savesPerClient });
  const { ours, tutorial, floor, rounds } = await race(everyone, entrant, seconds);
  const rate = (milliseconds: number) => (clients * savesPerClient * 1_000) / milliseconds;
  return { unit: "saves/s", ours: rate(ours), tutorial: tutorial && rate(tutorial), floor: rate(floor), rounds };
}

export const raceLoads = (contenders: Contenders, length: number, seconds: number) =>
  race(
    readers,
    (name) => ({
      run: async () => assert.equal((await contenders[name].load(chatId("ours", length)))?.length, length),
    }),
    seconds,
  );

export const raceLists = (contenders: Contenders, seconds: number) =>
  race(
    readers,
    (name) => ({ run: async () => assert.equal((await contenders[name].list(reader)).length, 20) }),
    seconds,
  );

/** Messages of 2 KB each as JSON, of invented words, which compress about as well as prose does. */
export function prose(count: number) {
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const syllable = () => `${"bcdfghlmnprst"[random(13)]}${"aeiou"[random(5)]}`;
  const words = Array.from({ length: 200 }, () => Array.from({ length: 1 + random(4) }, syllable).join(""));
  return Array.from({ length: count }, (_, index) => {
    const text = Array.from({ length: 500 }, () => words[random(words.length)]).join(" ");
    return say(index % 2 === 0 ? "user" : "assistant", text.slice(0, 2_000), `message-${index}`);
  });
}
