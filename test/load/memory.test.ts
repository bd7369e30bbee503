import { setImmediate } from "node:timers/promises";
import type { UIMessage } from "ai";
import { expect, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, migrate } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { nodePostgres, openWith, postgresJs } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";

const saves = Number(process.env.LOAD_SAVES ?? 4_000);
const clients = 8;
const measurements = 20;
const warmUp = 4;

const ways = [
  { name: "node-postgres and one store", connect: nodePostgres, keepsStore: true },
  { name: "postgres.js and a store for each save", connect: postgresJs, keepsStore: false },
];

interface Conversation {
  userId: string;
  chatId: string;
  messages: UIMessage[];
}

/** Not with `rejects`, for which Vitest keeps every promise until the test is over. */
const refused = (save: Promise<unknown>) =>
  save.then(
    () => expect.fail("was not refused"),
    () => {},
  );

/** The next save of a conversation, which grows to 20 messages and then begins anew: of ten, each takes another way. */
async function save(store: ChatStore, chat: Conversation, number: number): Promise<void> {
  const { userId, chatId } = chat;
  const text = `${number} `.padEnd(500, "word ");
  if (number % 10 === 0) {
    const turn = await store.startTurn({ userId, chatId, message: say("user", text) });
    const answer = say("assistant", text);
    await turn.persist.onEnd({ responseMessage: answer });
    chat.messages = [...turn.messages, answer];
  } else if (number % 10 === 1) {
    await refused(store.upsertChat({ ...chat, userId: "a stranger" }));
  } else if (number % 10 === 2) {
    await refused(store.upsertChat({ ...chat, messages: [say("user", text)], expectedVersion: 1e9 }));
  } else if (number % 10 === 3) {
    chat.messages = [say("user", "edited"), ...chat.messages.slice(1)];
    await store.upsertChat(chat);
  } else {
    chat.messages = chat.messages.length < 20 ? [...chat.messages, say("user", text)] : [];
    await store.upsertChat(chat);
  }
}

/** What is in use while nothing is going on, in kB. */
async function memory() {
  // Twice: what was kept for a finalizer alone is free after the second.
  for (let round = 0; round < 2; round++) {
    await setImmediate();
    (globalThis.gc ?? expect.fail("expected node --expose-gc"))();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heap: Math.round(heapUsed / 1_000), external: Math.round(external / 1_000) };
}

// Too few saves say nothing.
test.runIf(isLong).each(ways)("memory stays flat over many saves with $name", async ({ name, connect, keepsStore }) => {
  // Not the disk is measured here.
  const options = encodeURIComponent("-c synchronous_commit=off");
  const { db, close } = await openWith((url) => connect(`${url}?options=${options}`, clients));
  onTestFinished(close);
  await migrate(db);
  const kept = createChatStore(db);
  const store = () => (keepsStore ? kept : createChatStore(db));
  const chats = Array.from({ length: clients }, (_, number) => ({
    userId: "u",
    chatId: `c${number}`,
    messages: [] as UIMessage[],
  }));
  await Promise.all(chats.map((chat) => store().upsertChat(chat)));

  let running = 0;
  const measured = [];
  for (let step = 1; step <= measurements; step++) {
    const saveUntilStep = async (chat: Conversation) => {
      while (running < (saves / measurements) * step) await save(store(), chat, ++running);
    };
    await Promise.all(chats.map(saveUntilStep));
    measured.push({ ...(await memory()), resources: process.getActiveResourcesInfo().length });
  }

  const [first, last] = [measured[warmUp - 1] ?? expect.fail(), measured.at(-1) ?? expect.fail()];
  const growth = (of: keyof typeof first) => last[of] - first[of];
  console.log(`${name}, ${running} saves:`, JSON.stringify({ first, last }));
  expect(growth("heap")).toBeLessThan(1_000);
  expect(growth("external")).toBeLessThan(1_000);
  expect(growth("resources")).toBe(0);
});
