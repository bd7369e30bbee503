import assert from "node:assert/strict";
import type pg from "pg";
import { say } from "../support/conversations.ts";
import { createRandom } from "../support/random.ts";
import { type Contender, type Contenders, type Name, names } from "./contenders.ts";

/** Of those who took part: medians in milliseconds, or saves a second and the client's microseconds of CPU for each. */
export type Outcome = Partial<Record<Name, number>>;

interface Entrant {
  name: Name;
  /** What has to be there when it runs. Not timed. */
  before?(): Promise<unknown>;
  run(): Promise<unknown>;
  /** Undoes the run. Not timed. */
  reset?(): Promise<unknown>;
}

/** Everybody once a round, taking turns at going first, so that a noisy moment hits all alike. */
async function race(entrants: Entrant[], seconds: number): Promise<{ times: Outcome; cpu: Outcome }> {
  const warmUps = 2;
  const times = new Map(entrants.map(({ name }) => [name, [] as number[]]));
  const cpu = new Map(entrants.map(({ name }) => [name, [] as number[]]));
  const end = performance.now() + seconds * 1_000;
  for (let round = 0; round < warmUps + 5 || performance.now() < end; round++) {
    for (const { name, before, run, reset } of entrants) {
      await before?.();
      const cpuBefore = process.cpuUsage();
      const start = performance.now();
      await run();
      const time = performance.now() - start;
      const { user, system } = process.cpuUsage(cpuBefore);
      if (round >= warmUps) {
        times.get(name)?.push(time);
        cpu.get(name)?.push(user + system);
      }
      await reset?.();
    }
    entrants.push(...entrants.splice(0, 1));
  }
  const medians = (all: Map<Name, number[]>) =>
    Object.fromEntries([...all].map(([name, values]) => [name, median(values)]));
  return { times: medians(times), cpu: medians(cpu) };
}

export const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

export const lengths = [10, 100, 1_000, 10_000];
/** What the tutorial's way is spared. */
const tooLong = 10_000;
export const clients = 16;
/** In the races of many: what each client saves, to one chat of up to 10 messages or to so many of 8. */
const savesPerClient = 9;
/** Whose list of chats is read. */
export const reader = "grace";
const conversation = prose(Math.max(...lengths) + 1);
const chatId = (name: Name, length: number, more = "") => `${name} ${length} ${more}`;

/** What all races start from: chats to save and load, a long list, and the chats of others around them. */
export async function fill(contenders: Contenders, raw: pg.Client): Promise<void> {
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
  const { ours, "delete+insert": tutorial } = contenders;
  for (const name of names) {
    const { save } = contenders[name].table === ours.table ? ours : tutorial;
    for (const length of lengths) {
      if (takesPart(name, length)) await save(chatId(name, length), conversation.slice(0, length));
    }
    for (const id of chatsOf(name)) await save(id, conversation.slice(0, 1));
    if (contenders[name].ask) for (const id of answeredBy(name).flat()) await save(id, conversation.slice(0, 8));
  }
  await raw.query("vacuum analyze");
}

const takesPart = (name: Name, length: number) => name !== "delete+insert" || length < tooLong;
const chatsOf = (name: Name) => Array.from({ length: clients }, (_, client) => chatId(name, 1, `of ${client}`));
const answeredBy = (name: Name) =>
  Array.from({ length: clients }, (_, client) =>
    Array.from({ length: savesPerClient }, (_, chat) => chatId(name, 8, `${chat} of ${client}`)),
  );

/** Takes away what comes after so many messages. Also the proof that it had been saved. */
const cut =
  (raw: pg.Client, { table }: Contender, ids: readonly string[], length: number, expected: number) =>
  async () => {
    const { rowCount } = await raw.query(`delete from ${table} where chat_id = any ($1) and "order" >= $2`, [
      ids,
      length,
    ]);
    assert.equal(rowCount, expected);
  };

/** One message more, saved with the whole conversation. */
export async function raceSaves(contenders: Contenders, raw: pg.Client, length: number, seconds: number) {
  const entrants = names
    .filter((name) => takesPart(name, length))
    .map((name): Entrant => {
      const id = chatId(name, length);
      const messages = conversation.slice(0, length + 1);
      return {
        name,
        run: () => contenders[name].save(id, messages),
        reset: cut(raw, contenders[name], [id], length, 1),
      };
    });
  return (await race(entrants, seconds)).times;
}

export type PartOfTurn = "question" | "answer" | "turn";

/** A question on a window of the chat, its answer, or both. */
export async function raceTurns(
  contenders: Contenders,
  raw: pg.Client,
  part: PartOfTurn,
  length: number,
  seconds: number,
) {
  const [question, answer] = prose(2);
  assert(question && answer);
  const entrants = names.flatMap((name): Entrant[] => {
    const { ask } = contenders[name];
    if (!ask) return [];
    const id = chatId(name, length);
    let end: Awaited<ReturnType<typeof ask>> | undefined;
    const begin = async () => (end = await ask(id, { ...question, id: "question" }, length));
    const finish = () => end?.({ ...answer, id: "answer" });
    const reset = cut(raw, contenders[name], [id], length, part === "question" ? 1 : 2);
    if (part === "question") return [{ name, run: begin, reset: () => forgetTurns(raw).then(reset) }];
    if (part === "answer") return [{ name, before: begin, run: async () => finish(), reset }];
    return [{ name, run: async () => begin().then(finish), reset }];
  });
  return (await race(entrants, seconds)).times;
}

const forgetTurns = (raw: pg.Client) => raw.query("delete from chat_store.turns");

/** Many clients at once: saves a second, and what each takes of the client's CPU. */
export async function raceManySaves(contenders: Contenders, raw: pg.Client, seconds: number) {
  const entrants = names.map((name): Entrant => {
    const ids = chatsOf(name);
    return {
      name,
      run: () =>
        Promise.all(
          ids.map(async (id) => {
            for (let more = 1; more <= savesPerClient; more++) {
              await contenders[name].save(id, conversation.slice(0, 1 + more));
            }
          }),
        ),
      reset: cut(raw, contenders[name], ids, 1, clients * savesPerClient),
    };
  });
  return perSave(await race(entrants, seconds));
}

export async function raceManyAnswers(contenders: Contenders, raw: pg.Client, seconds: number) {
  const [question, answer] = prose(2);
  assert(question && answer);
  const entrants = names.flatMap((name): Entrant[] => {
    const { ask } = contenders[name];
    if (!ask) return [];
    const byClient = answeredBy(name);
    let ends: Awaited<ReturnType<typeof ask>>[][] = [];
    return [
      {
        name,
        before: async () => {
          const begun = byClient.map((ids) =>
            Promise.all(ids.map((id) => ask(id, { ...question, id: "question" }, 8))),
          );
          ends = await Promise.all(begun);
        },
        run: () =>
          Promise.all(
            ends.map(async (own) => {
              for (const end of own) await end({ ...answer, id: "answer" });
            }),
          ),
        reset: cut(raw, contenders[name], byClient.flat(), 8, 2 * clients * savesPerClient),
      },
    ];
  });
  return perSave(await race(entrants, seconds));
}

function perSave({ times, cpu }: { times: Outcome; cpu: Outcome }) {
  const saves = clients * savesPerClient;
  const each = (outcome: Outcome, work: (value: number) => number): Outcome =>
    Object.fromEntries(Object.entries(outcome).map(([name, value]) => [name, work(value)]));
  return { rates: each(times, (time) => (saves * 1_000) / time), cpu: each(cpu, (time) => time / saves) };
}

export async function raceLoads(contenders: Contenders, length: number, seconds: number) {
  const entrants = names.flatMap((name): Entrant[] => {
    const { load } = contenders[name];
    const run = async () => assert.equal((await load?.(chatId("ours", length)))?.length, length);
    return load ? [{ name, run }] : [];
  });
  return (await race(entrants, seconds)).times;
}

export async function raceLists(contenders: Contenders, seconds: number) {
  const entrants = names.flatMap((name): Entrant[] => {
    const { list } = contenders[name];
    return list ? [{ name, run: async () => assert.equal((await list(reader)).length, 20) }] : [];
  });
  return (await race(entrants, seconds)).times;
}

/** Messages of 2 KB each as JSON, of invented words, which compress about as well as prose does. */
export function prose(count: number) {
  const { below } = createRandom(1);
  const syllable = () => `${"bcdfghlmnprst"[below(13)]}${"aeiou"[below(5)]}`;
  const words = Array.from({ length: 200 }, () => Array.from({ length: 1 + below(4) }, syllable).join(""));
  return Array.from({ length: count }, (_, index) => {
    const text = Array.from({ length: 500 }, () => words[below(words.length)]).join(" ");
    return say(index % 2 === 0 ? "user" : "assistant", text.slice(0, 2_000), `message-${index}`);
  });
}
