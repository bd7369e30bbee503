// Projects: main. Long: fuzz.
// Isolated: it watches what is printed.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type ChatStore, ChatStoreError, createChatStore } from "../../src/index.ts";
import { databases, modes, type TestDatabase } from "../support/databases.ts";
import {
  afterAnswer,
  afterClaim,
  afterDeleteAll,
  afterDeleteChat,
  afterDeleteMessage,
  afterExport,
  afterFork,
  afterQuestion,
  afterSwitchBranch,
  afterUpdateChat,
  afterUpdateMessage,
  afterUpsert,
  alternative,
  branchId,
  type Changed,
  type Expected,
  type ExpectedChat,
  type ExpectedMessage,
  readIds,
  readList,
  readPage,
  readSearch,
  type Verdict,
} from "../support/fuzz/expected.ts";
import {
  answerInput,
  asContent,
  asField,
  asStructure,
  claimChatsInput,
  deleteMessageInput,
  everywhere,
  forkChatInput,
  getChatInput,
  getChatsInput,
  getMessagesInput,
  type Hostile,
  large,
  notText,
  oddities,
  searchChatsInput,
  sqlShaped,
  startTurnInput,
  switchBranchInput,
  updateChatInput,
  updateMessageInput,
  upsertChatInput,
  userInput,
} from "../support/fuzz/hostile.ts";
import { seeded } from "../support/seed.ts";
import { snapshot } from "../support/snapshot.ts";

const cases = Number(process.env.FUZZ_CASES ?? 300);
const [pglite, nodePostgres] = databases as [(typeof databases)[number], (typeof databases)[number]];
/** PGlite is slower, and the same Postgres. */
const kinds = [
  { ...nodePostgres, cases, places: true },
  { ...pglite, cases: Math.ceil(cases / 10), places: false },
];

const question: ExpectedMessage = { id: "q", role: "user", parts: '[{"type":"text","text":"Why?"}]', metadata: null };
const toolCall: ExpectedMessage = {
  id: "a",
  role: "assistant",
  parts: JSON.stringify([
    { type: "text", text: "I need that file." },
    { type: "tool-read", toolCallId: "t", state: "input-available", input: { file: "x" } },
  ]),
  metadata: '{"model":"m"}',
};
const unsaid = { archived: false, metadata: null };
/** What is there before each case: two chats of the user "u", one of the user "s". */
const start: Expected = new Map([
  ["c", { userId: "u", title: "Kept", version: 1, messages: [question, toolCall], ...unsaid }],
  ["d", { userId: "s", title: "Not u's", version: 1, messages: [question], ...unsaid }],
  ["e", { userId: "u", title: "", version: 1, messages: [], ...unsaid }],
]);

/** What nobody may add to, however a key is called. */
const prototypes = [Object, Function, Array, String, Number, Date, Map, Promise, Error].map(
  ({ prototype }): object => prototype,
);
const prototypeKeys = () => prototypes.map((prototype) => Reflect.ownKeys(prototype));

seeded();

// Without a limit: a case that was given up would go on beside the next one, which then finds more than it expects.
describe.each(kinds)("Hostile input on $name", { timeout: 0 }, ({ open, cases, places }) => {
  let database: TestDatabase;
  const keysBefore = prototypeKeys();
  const unhandled: unknown[] = [];
  const recordUnhandled = (reason: unknown) => void unhandled.push(reason);
  const printed = [
    ...(["debug", "error", "info", "log", "trace", "warn"] as const).map((method) => vi.spyOn(console, method)),
    vi.spyOn(process.stdout, "write"),
    vi.spyOn(process.stderr, "write"),
  ];

  beforeAll(async () => {
    database = await open();
    process.on("unhandledRejection", recordUnhandled);
    for (const spy of printed) spy.mockClear();
  });
  afterAll(async () => {
    process.off("unhandledRejection", recordUnhandled);
    await database.close();
  });

  async function reset(): Promise<void> {
    await database.query("delete from chat_store.chats");
    await database.query(
      `insert into chat_store.chats (id, user_id, title) select key, value->>'userId', value->>'title' from json_each($1)`,
      [JSON.stringify(Object.fromEntries(start))],
    );
    await database.query(
      `insert into chat_store.messages (chat_id, "order", id, role, parts, metadata)
       select key, ordinality - 1, m->>'id', m->>'role', (m->>'parts')::json, (m->>'metadata')::json
       from json_each($1), json_array_elements(value->'messages') with ordinality as messages (m, ordinality)`,
      [JSON.stringify(Object.fromEntries(start))],
    );
  }

  async function putBranch(): Promise<void> {
    const { id, role, parts, metadata } = alternative;
    await database.query(
      `insert into chat_store.branches (chat_id, id, after_id, position, message_count, messages)
       values ('c', $1, 'q', 1, 1, $2)`,
      [branchId, JSON.stringify([[id, role, parts, metadata, "0"]])],
    );
  }

  /** All chats as they are stored, read past the store. */
  async function stored(): Promise<Expected> {
    const chats = await database.query<{ id: string } & Omit<ExpectedChat, "messages">>(
      `select id, user_id "userId", title, version, archived_at is not null archived, metadata::text from chat_store.chats`,
    );
    const messages = await database.query<
      { chatId: string; order: number } & { [Key in keyof ExpectedMessage]: ExpectedMessage[Key] }
    >(
      `select chat_id "chatId", "order", id, role, parts::text, metadata::text
       from chat_store.messages order by chat_id, "order"`,
    );
    return new Map(
      chats.map(({ id: chatId, ...chat }) => {
        const own = messages.filter((message) => message.chatId === chatId);
        expect(own.map(({ order }) => order)).toEqual(own.map((_, index) => index));
        return [chatId, { ...chat, messages: own.map(({ chatId, order, ...message }) => message) }];
      }),
    );
  }

  /** Calls the store, wrecks the input while it is at work, and sees to it that what was there when it began is what counts. */
  async function expectVerdict(call: (input: never) => Promise<unknown>, input: Hostile, verdict: Verdict) {
    const before = await snapshot(database);
    const given = input.make();
    const work = call(given as never);
    wreck(given);
    const outcome = await work.catch((error: unknown) => error);

    if ("code" in verdict) {
      expect(outcome).toMatchObject({ code: verdict.code });
      expect(ChatStoreError.isInstance(outcome)).toBe(true);
      expect(await snapshot(database)).toEqual(before);
    } else {
      if (outcome instanceof Error) throw outcome;
      expect(await stored()).toEqual(verdict.stored);
    }
    return outcome;
  }

  /** What is read back is what JSON carries of it, key by key in the same order. */
  async function expectReadBack(store: ChatStore, chats: Expected) {
    for (const [chatId, { userId, messages, title, version }] of chats) {
      const chat = await store.getChat({ userId, chatId });
      expect({ ...chat, messages: [] }).toMatchObject({ id: chatId, userId, title, version });
      expect(
        chat?.messages.map(({ id, role, parts, ...rest }) => ({
          id,
          role,
          parts: JSON.stringify(parts),
          metadata: "metadata" in rest ? JSON.stringify(rest.metadata) : null,
        })),
      ).toEqual(
        messages.map(({ parts, metadata, ...rest }) => ({
          ...rest,
          parts: carried(parts),
          metadata: metadata && carried(metadata),
        })),
      );
    }
  }

  async function expectNothingElse(): Promise<void> {
    // Rejections that nobody handles are reported once all that waits has run.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
    expect(prototypeKeys()).toEqual(keysBefore);
    expect(printed.flatMap((spy) => spy.mock.calls)).toEqual([]);
  }

  async function saves(store: ChatStore, input: Hostile) {
    const verdict = afterUpsert(start, input.make());
    await expectVerdict(store.upsertChat, input, verdict);
    if ("stored" in verdict) {
      await expectReadBack(store, verdict.stored);
      // Once more: whatever its digests are made of, it is recognised.
      await expectVerdict(store.upsertChat, input, verdict);
    }
    await expectNothingElse();
  }

  async function reads(store: ChatStore, chat: Hostile, list: Hostile) {
    const ids = readIds(chat.make());
    const found = ids === "INVALID_CHAT" ? undefined : start.get(ids.chatId);
    const got = await expectVerdict(store.getChat, chat, ids === "INVALID_CHAT" ? { code: ids } : { stored: start });
    if (ids !== "INVALID_CHAT") {
      expect(got).toEqual(found?.userId === ids.userId ? expect.objectContaining({ id: ids.chatId }) : null);
    }

    const page = readList(list.make());
    const listed = await expectVerdict(
      store.getChats,
      list,
      page === "INVALID_CHAT" ? { code: page } : { stored: start },
    );
    if (page !== "INVALID_CHAT") {
      const owned = [...start].filter(([, { userId }]) => userId === page.userId && page.before > Date.now());
      expect(listed).toHaveLength(Math.min(owned.length, page.limit));
    }
    await expectNothingElse();
  }

  async function pages(store: ChatStore, input: Hostile) {
    const page = readPage(input.make());
    const chat = page === "INVALID_CHAT" ? undefined : start.get(page.chatId);
    const messages = page !== "INVALID_CHAT" && chat?.userId === page.userId ? chat.messages : undefined;
    const isGone = page !== "INVALID_CHAT" && page.before && !messages?.some(({ id }) => id === page.before);
    const isRefused = page === "INVALID_CHAT" || (messages && isGone);
    const given = await expectVerdict(
      store.getMessages,
      input,
      isRefused ? { code: "INVALID_CHAT" } : { stored: start },
    );
    if (isRefused) return;
    const end = page.before ? messages?.findIndex(({ id }) => id === page.before) : undefined;
    const shown = messages
      ?.slice(0, end)
      .slice(-page.limit)
      .map(({ id }) => ({ id }));
    expect(given).toEqual(
      shown ? expect.objectContaining({ messages: shown.map((message) => expect.objectContaining(message)) }) : null,
    );
    await expectNothingElse();
  }

  async function searches(store: ChatStore, input: Hostile) {
    const search = readSearch(input.make());
    const verdict = search === "INVALID_CHAT" ? { code: search } : { stored: start };
    const found = await expectVerdict(store.searchChats, input, verdict);
    if (search === "INVALID_CHAT") return;
    const query = search.query.toLowerCase();
    const texts = [...start].flatMap(([id, { userId, title, messages }]) =>
      userId === search.userId
        ? [
            { id, messageId: null, text: title },
            ...messages.flatMap((message) =>
              (JSON.parse(message.parts) as { type: string; text?: string }[]).map(({ text = "" }) => ({
                id,
                messageId: message.id,
                text,
              })),
            ),
          ]
        : [],
    );
    const expected = texts.filter(({ text }) => text.toLowerCase().includes(query));
    const { matches } = found as Awaited<ReturnType<ChatStore["searchChats"]>>;
    const shown = matches.map(({ chat, messageId }) => ({ id: chat.id, messageId }));
    if (expected.length <= search.limit) {
      expect(new Set(shown.map((match) => JSON.stringify(match)))).toEqual(
        new Set(expected.map(({ id, messageId }) => JSON.stringify({ id, messageId }))),
      );
    } else expect(shown).toHaveLength(search.limit);
    await expectNothingElse();
  }

  /** What a verb gives, and what it leaves: the id of the chat it gives, null, a count, or whether there was one. */
  async function changes(call: (input: never) => Promise<unknown>, input: Hostile, verdict: Changed) {
    const outcome = await expectVerdict(call, input, verdict);
    if ("gives" in verdict) {
      const isChat = typeof outcome === "object" && outcome !== null && "id" in outcome;
      expect(isChat ? outcome.id : outcome).toEqual(verdict.gives);
    }
    await expectNothingElse();
  }

  async function turns(store: ChatStore, input: Hostile, answer: Hostile) {
    const verdict = afterQuestion(start, input.make());
    let asked: Expected;
    let outcome: unknown;
    if ("merged" in verdict) {
      const before = await snapshot(database);
      outcome = await store.startTurn(input.make() as never).catch((error: unknown) => error);
      asked = await stored();
      const merged = asked.get(verdict.ids.chatId)?.messages.at(-1);
      expect(withoutAnswers(merged)).toEqual(withoutAnswers(verdict.merged));
      if (outcome instanceof Error) {
        expect(["INVALID_CHAT", "CHAT_CONFLICT"]).toContain((outcome as Partial<ChatStoreError>).code);
        expect(await snapshot(database)).toEqual(before);
      }
    } else {
      outcome = await expectVerdict(store.startTurn, input, verdict);
      asked = "stored" in verdict ? verdict.stored : start;
    }
    if (isTurn(outcome)) {
      await expectReadBack(store, asked);
      const { onEnd } = outcome.persist;
      const ids = { userId: outcome.chat.userId, chatId: outcome.chat.id };
      const answered = afterAnswer(asked, ids, outcome.messages.at(-1)?.id ?? "", answer.make());
      await expectVerdict(onEnd, answer, answered);
    }
    await expectNothingElse();
  }

  const mode = fc.constantFrom(...modes);
  const run = async <Case extends { mode: (typeof modes)[number] }>(
    cases: fc.Arbitrary<Case>,
    numRuns: number,
    check: (store: ChatStore, one: Case) => Promise<void>,
  ) =>
    fc.assert(
      fc.asyncProperty(cases, async (one) => {
        await reset();
        await check(one.mode.storeOn(database.db), one);
      }),
      { numRuns },
    );
  const share = (parts: number) => Math.ceil((cases * parts) / 10);

  test("upsertChat stores the input exactly, or names its mistakes and changes nothing", async () => {
    await run(fc.record({ mode, input: upsertChatInput }), share(6), (store, { input }) => saves(store, input));
  });

  test("startTurn and onEnd store the input exactly, or name its mistakes and change nothing", async () => {
    await run(fc.record({ mode, input: startTurnInput, answer: answerInput }), share(3), (store, { input, answer }) =>
      turns(store, input, answer),
    );
  });

  const verbs: Record<string, [fc.Arbitrary<Hostile>, (chats: Expected, input: unknown) => Changed]> = {
    updateChat: [updateChatInput, afterUpdateChat],
    deleteChat: [getChatInput, afterDeleteChat],
    forkChat: [forkChatInput, afterFork],
    updateMessage: [updateMessageInput, afterUpdateMessage],
    deleteMessage: [deleteMessageInput, afterDeleteMessage],
    switchBranch: [switchBranchInput, afterSwitchBranch],
    claimChats: [claimChatsInput, afterClaim],
    deleteAllChats: [userInput, afterDeleteAll],
    exportChats: [userInput, afterExport],
  };
  test.each(Object.entries(verbs))(
    "%s makes exactly the documented change, or names the input's mistakes and changes nothing",
    async (verb, [inputs, after]) => {
      await run(fc.record({ mode, input: inputs }), share(1), async (store, { input }) => {
        await putBranch();
        const call = verb === "exportChats" ? countExported(store) : store[verb as "updateChat"];
        await changes(call, input, after(start, input.make()));
      });
    },
  );

  test("getChat and getChats find the user's chats, or name the input's mistakes", async () => {
    await run(fc.record({ mode, chat: getChatInput, list: getChatsInput }), share(1), (store, { chat, list }) =>
      reads(store, chat, list),
    );
  });

  test("getMessages and searchChats find the user's messages, or name the input's mistakes", async () => {
    await run(fc.record({ mode, page: getMessagesInput, search: searchChatsInput }), share(1), async (store, input) => {
      await pages(store, input.page);
      await searches(store, input.search);
    });
  });

  const values: [string, Hostile[]][] = [
    ...oddities.map((value): [string, Hostile[]] => [value.name, [...asContent(value), ...asStructure(value)]]),
    ...notText.map((value): [string, Hostile[]] => [`${value.name}, not a text`, asField(value)]),
    ...large.map((value): [string, Hostile[]] => [value.name, asContent(value)]),
    ...sqlShaped.map((text): [string, Hostile[]] => [text, [everywhere(text)]]),
  ];
  test.each(places ? values : [])("upsertChat stores or refuses %s in every place", async (_, inputs) => {
    for (const input of inputs) {
      await reset();
      await saves(createChatStore(database.db), input);
    }
  });
});

const countExported = (store: ChatStore) => async (input: never) => {
  let count = 0;
  for await (const { id } of store.exportChats(input)) count += id === "" ? 0 : 1;
  return count;
};

/** As it is written after being read: the same, but for the likes of 1.0, which JSON.rawJSON can write. */
const carried = (json: string) => JSON.stringify(JSON.parse(json));

/** An assistant message without what a browser may add to it. */
function withoutAnswers(message: ExpectedMessage | undefined) {
  const parts: Record<string, unknown>[] = JSON.parse(message?.parts ?? "[]");
  return {
    ...message,
    parts: parts.map(({ state, output, errorText, approval, ...part }) => part),
  };
}

function isTurn(outcome: unknown): outcome is Awaited<ReturnType<ChatStore["startTurn"]>> {
  return typeof outcome === "object" && outcome !== null && "persist" in outcome;
}

/** Does to an input, and to all that it holds, what a caller that goes on with its work might. */
function wreck(value: unknown, depth = 0): void {
  if (typeof value !== "object" || value === null || depth > 6) return;
  try {
    for (const key of Object.keys(value).slice(0, 20)) wreck(Reflect.get(value, key), depth + 1);
    if (value instanceof Date) value.setTime(Number.NaN);
    if (Array.isArray(value)) value.push({ id: "wrecked", role: "user", parts: [{ type: "text", text: "wrecked" }] });
    for (const key of Object.keys(value).slice(0, 20)) Reflect.set(value, key, "wrecked");
  } catch {
    // Some inputs cannot be wrecked: getters that throw, proxies.
  }
}
