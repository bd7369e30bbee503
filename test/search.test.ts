// Projects: main, drivers, citus. Long: postgres, tables, sessions.
import { randomBytes, randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatMatch, type ChatStore, InvalidChatError } from "../src/index.ts";
import { nextChatId } from "./support/chat-ids.ts";
import { say } from "./support/conversations.ts";
import { modes, type TestDatabase } from "./support/databases.ts";
import { kinds } from "./support/kinds.ts";
import { underRowLevelSecurity } from "./support/row-level-security.ts";

// How things are saved makes no difference to what is found. The drivers do, and policies.
const searched = kinds.filter(
  ({ name, mode }) =>
    mode === modes[0]?.mode ||
    mode === underRowLevelSecurity[0]?.mode ||
    // Another statement, and the same whatever the driver.
    (mode === "portable" && name === "node-postgres"),
);

describe.each(searched)("searchChats on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newUser = () => `user ${randomUUID()}`;
  const newChat = (userId: string, messages: UIMessage[], title = "") =>
    store.upsertChat({ userId, chatId: nextChatId(), title, messages });
  /** Everything that is found, however many calls it takes. */
  async function findAll(userId: string, query: string, limit?: number) {
    const found: ChatMatch[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await store.searchChats({ userId, query, limit, cursor });
      expect(page.matches.length).toBeLessThanOrEqual(limit ?? 20);
      found.push(...page.matches);
      cursor = page.cursor;
    }
    return found;
  }
  /** Whether a text is found in a message of just that text, and what of it. */
  async function found(text: string, query: string) {
    const userId = newUser();
    await newChat(userId, [say("user", text)]);
    const [match, ...others] = await findAll(userId, query);
    expect(others).toEqual([]);
    if (!match) return null;
    const { before, match: middle, after } = match.excerpt;
    expect(text).toContain(before + middle + after);
    return middle;
  }

  test.each([
    ["The tide comes in at six.", "tide", "tide"],
    ["The TIDE comes in at six.", "tide", "TIDE"],
    ["The tide comes in at six.", "The tide comes in at six.", "The tide comes in at six."],
    ["The tide comes in at six.", "tides", null],
    ["The tide comes in at six.", "t.de", null],
    ["tide", "[tide]", null],
    ["a+b (c) {1,2} ^x$ [y] a|b", "(c) {1,2} ^X$ [Y] A|B", "(c) {1,2} ^x$ [y] a|b"],
    ["Ménage à trois, ŽIŽKOV", "ménage À", "Ménage à"],
    ["Ménage à trois, ŽIŽKOV", "žižkov", "ŽIŽKOV"],
    ["Ménage", "menage", null],
    ["Съешь ещё этих мягких", "съЕШЬ ЕЩЁ", "Съешь ещё"],
    ["ΟΔΥΣΣΕΥΣ ὀδυσσεύς", "οδυσσευς", "ΟΔΥΣΣΕΥΣ"],
    ["STRASSE Straße", "straße", "Straße"],
    ["STRAẞE", "straße", "STRAẞE"],
    ["straße", "STRAẞE", "straße"],
    ["straße", "strasse", null],
    ["ο λόγος", "ΛΌΓΟΣ", "λόγος"],
    ["Ο ΛΌΓΟΣ", "λόγος", "ΛΌΓΟΣ"],
    ["λόγος", "λόγοσ", "λόγος"],
    ["5 µg", "5 μG", "5 µg"],
    ["300 \u212a", "300 k", "300 \u212a"],
    ["300 k", "300 \u212a", "300 k"],
    ["1 \u212b, 2 \u2126", "å, 2 ω", "\u212b, 2 \u2126"],
    ["Congreſs", "CONGRESS", "Congreſs"],
    ["ǅ", "ǆ", "ǅ"],
    ["ᏣᎳᎩ", "ꮳꮃꭹ", "ᏣᎳᎩ"],
    ["საქართველო", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ", "საქართველო"],
    ["\u{10400}\u{10401}", "\u{10428}\u{10401}", "\u{10400}\u{10401}"],
    ["İstanbul", "istanbul", "İstanbul"],
    ["istanbul", "İSTANBUL", "istanbul"],
    ["Isparta", "ısparta", "Isparta"],
    ["ısparta", "ISPARTA", "ısparta"],
    ["数据库里的聊天记录", "聊天", "聊天"],
    ["潮の満ち引き、ﾊﾝｶｸ", "満ち", "満ち"],
    ["한국어 대화", "대화", "대화"],
    ["שלום עולם", "עולם", "עולם"],
    ["Waves 🌊 and a family 👨‍👩‍👧!", "🌊 and", "🌊 and"],
    ["Waves 🌊 and a family 👨‍👩‍👧!", "👨‍👩‍👧", "👨‍👩‍👧"],
    ["Waves 🌊", "🌋", null],
    ['He said "Hello" twice', '"hello" t', '"Hello" t'],
    ["C:\\users\\new", "\\USERS\\N", "\\users\\n"],
    ["C:\\users\\new", "\\\\users", null],
    ["C:\\u0041nd", "\\U0041N", "\\u0041n"],
    ["C:\\u0041nd", "and", null],
    ["and/or 1/2", "D/o", "d/o"],
    ["100 % of a_b", "% of A_", "% of a_"],
    ["100 pct of aXb", "a_b", null],
    ["one\ntwo\tthree", "e\nt", "e\nt"],
    ["one\ntwo\tthree", "o\tTh", "o\tth"],
    ["before\u0000after the NUL", "after the", "after the"],
    ["half a pair \ud83d and more", "and more", "and more"],
    ["half a pair \ud83d and more", "ud83d", null],
    ["half a pair \ud83d, and a whole one 🌊", "d, And a whole One 🌊", null],
    ["half a pair \ud83d, and a whole one 🌊", ", And a whole One 🌊", ", and a whole one 🌊"],
    ["\u001b[31mred\u001b[0m alert", "red", "red"],
    ["\u001b[31mred\u001b[0m alert", "\u001b[31mRED\u001b[0", "\u001b[31mred\u001b[0"],
    ["\u001b[31mred\u001b[0m alert", "1b", null],
    ["a\u007fb, c\u0085d, e\u200bf, g\ufeffh, i\u2028j", "B, C\u0085d, e\u200bF", "b, c\u0085d, e\u200bf"],
    ["a\u007fb, c\u0085d, e\u200bf, g\ufeffh, i\u2028j", "a\u007fB", "a\u007fb"],
    ["a\u007fb, c\u0085d, e\u200bf, g\ufeffh, i\u2028j", "\ufeffh, i\u2028", "\ufeffh, i\u2028"],
    ["'; drop table chats; --", "'; DROP", "'; drop"],
    ["***=literal (?i)x", "***=LIT", "***=lit"],
    ["a *** b", "***", "***"],
    ["x".repeat(300), "x".repeat(255), "x".repeat(255)],
    ["\u{1F600}".repeat(130), "\u{1F600}".repeat(127), "\u{1F600}".repeat(127)],
    ["   spaces   ", "   sp", "   sp"],
  ])("in %j, the query %j finds %j", async (text, query, expected) => {
    expect(await found(text, query)).toBe(expected);
  });

  test("searchChats finds each letter by each of its cases, in every script", async () => {
    const userId = newUser();
    const letters = Array.from({ length: 0x1f000 }, (_, point) => point)
      .filter((point) => point < 0xd800 || point > 0xdfff)
      .map((point) => String.fromCodePoint(point))
      .filter((character) => /\p{Changes_When_Casemapped}/u.test(character));
    const all = letters.join("");
    const caseOf = (letter: string, index: number) => {
      const cases = all.match(new RegExp(letter, "giu")) ?? [];
      return cases[index % cases.length] ?? letter;
    };
    await newChat(userId, [say("user", all)]);
    for (const index of [0, 1, 2, 3]) {
      const text = letters.map((letter) => caseOf(letter, index));
      for (let from = 0; from < text.length; from += 120) {
        const query = text.slice(from, from + 120).join("");
        const [match] = await findAll(userId, query);
        expect(match?.excerpt.match).toBe(letters.slice(from, from + 120).join(""));
      }
    }
  });

  test("searchChats finds control characters in each way in which JSON writes them, and no others instead", async () => {
    const controls = Array.from({ length: 31 }, (_, index) => String.fromCharCode(index + 1));
    const text = controls.map((control) => `<${control}>`).join("");
    const userId = newUser();
    const chat = await newChat(userId, [say("user", text, "m0"), say("user", text, "m1")]);
    const json = JSON.stringify([{ type: "text", text }]);
    const inHexadecimal = json.replace(/\\([bfnrt]|u00..)/g, (written) => {
      const digits = JSON.parse(`"${written}"`).charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${digits.toUpperCase()}`;
    });
    expect(inHexadecimal).toContain("\\u000A");
    await database.query("update chat_store.messages set parts = $2::text::json where chat_id = $1 and id = 'm1'", [
      chat.id,
      inHexadecimal,
    ]);
    for (const control of controls) {
      for (const query of [control, `<${control}>`, `${control}>`]) {
        expect(await findAll(userId, query)).toMatchObject([{ messageId: "m1" }, { messageId: "m0" }]);
      }
      expect(await findAll(userId, `${control}<`)).toEqual([]);
    }
  });

  test("searchChats finds what a person told the model while it was answering", async () => {
    const userId = newUser();
    const steering = {
      type: "steering-message",
      id: "needle",
      parts: [
        { type: "file", mediaType: "text/plain", url: "data:needle", filename: "needle" },
        { type: "text", text: "I meant Paris, Texas" },
      ],
    };
    const parts = [
      { type: "reasoning", text: "needle" },
      steering,
      { type: "text", text: "Hot." },
    ] as UIMessage["parts"];
    await newChat(userId, [say("user", "Weather in Paris?", "q"), { id: "a", role: "assistant", parts }]);
    expect(await findAll(userId, "texas")).toMatchObject([
      { messageId: "a", role: "assistant", excerpt: { before: "I meant Paris, ", match: "Texas", after: "" } },
    ]);
    expect(await findAll(userId, "paris")).toMatchObject([{ messageId: "a" }, { messageId: "q" }]);
    expect(await findAll(userId, "hot")).toMatchObject([{ messageId: "a" }]);
    expect(await findAll(userId, "needle")).toEqual([]);
  });

  test("searchChats passes over texts with half a surrogate pair or with needless escapes that do not hold the query", async () => {
    const userId = newUser();
    const others = Array.from({ length: 30 }, (_, index) => say("user", `\ud800 hay ${index}`, `m${index}`));
    const { id } = await newChat(userId, [say("user", "the needle", "first"), ...others]);
    await database.query(
      `update chat_store.messages set parts = '[{"type":"text","text":"h\\u0061y \\ud83c\\udf0a"}]'::json
       where chat_id = $1 and "order" > 20`,
      [id],
    );
    // In one call, which would else have stopped after as many messages.
    const { matches } = await store.searchChats({ userId, query: "NEEDLE", limit: 1 });
    expect(matches).toMatchObject([{ messageId: "first" }]);
    expect((await store.searchChats({ userId, query: "Hay 🌊", limit: 20 })).matches).toHaveLength(10);
  });

  test("searchChats finds the text of text parts, and no keys, ids, roles, metadata, reasoning or tool output", async () => {
    const userId = newUser();
    const parts = [
      { type: "reasoning", text: "needle in thought" },
      {
        type: "tool-search",
        toolCallId: "needle",
        state: "output-available",
        input: { needle: 1 },
        output: { text: "needle", type: "text" },
      },
      { type: "data-needle", data: { type: "text", text: "needle" } },
      { type: "file", mediaType: "text/plain", filename: "needle", url: "data:needle" },
      { type: "text", text: "hay", providerMetadata: { needle: { text: "needle" } } },
    ] as UIMessage["parts"];
    await newChat(userId, [{ id: "needle", role: "assistant", metadata: { text: "needle" }, parts }]);
    expect(await findAll(userId, "needle")).toEqual([]);
    expect(await findAll(userId, "type")).toEqual([]);
    expect(await findAll(userId, "assistant")).toEqual([]);
    expect(await findAll(userId, "hay")).toMatchObject([{ messageId: "needle", role: "assistant" }]);
  });

  test("searchChats finds text in any JSON that direct SQL has stored, and passes over malformed parts", async () => {
    const userId = newUser();
    const { id } = await newChat(
      userId,
      ["m0", "m1", "m2", "m3"].map((id) => say("user", "", id)),
    );
    const written = [
      String.raw`[null, 7, {"type" : "text", "text" : "caf\u00e9 \u0026 \/ \u00c9t\u00e9"}]`,
      String.raw`[{"text":"\ud83c\udf0a in it","type":"text"}]`,
      String.raw`[{"type":"text","text":{"text":"café"}},{"type":"text","text":"\u0063af\u00e9"}]`,
      '{"type":"text","text":"café"}',
    ];
    for (const [index, parts] of written.entries()) {
      await database.query("update chat_store.messages set parts = $3::text::json where chat_id = $1 and id = $2", [
        id,
        `m${index}`,
        parts,
      ]);
    }
    const ids = async (query: string) => (await findAll(userId, query)).map(({ messageId }) => messageId);
    expect(await ids("CAFÉ")).toEqual(["m2", "m0"]);
    expect(await ids("& / é")).toEqual(["m0"]);
    expect(await ids("🌊 in")).toEqual(["m1"]);
  });

  test("searchChats finds titles, and gives each title and each message once", async () => {
    const userId = newUser();
    const chat = await newChat(
      userId,
      [say("user", "tide, tide", "m0"), say("assistant", "no", "m1"), say("user", "A Tide", "m2")],
      "Tide tables",
    );
    expect(await store.searchChats({ userId, query: "tide" })).toEqual({
      matches: [
        { chat, messageId: null, role: null, excerpt: { before: "", match: "Tide", after: " tables" } },
        { chat, messageId: "m2", role: "user", excerpt: { before: "A ", match: "Tide", after: "" } },
        { chat, messageId: "m0", role: "user", excerpt: { before: "", match: "tide", after: ", tide" } },
      ],
      cursor: null,
    });
  });

  test("searchChats gives only the user's chats, newest activity first, also archived ones", async () => {
    const [userId, other] = [newUser(), newUser()];
    const chats = [];
    for (const title of ["tide 1", "ebb", "tide 2", "tide 3"]) {
      chats.push(await newChat(userId, [], title));
      await newChat(other, [say("user", "tide")], "tide");
    }
    for (const [index, { id }] of chats.entries()) {
      await database.query("update chat_store.chats set updated_at = $2 where id = $1", [
        id,
        new Date(1_700_000_000_000 + index),
      ]);
    }
    await store.updateChat({ userId, chatId: chats[2]?.id ?? "", archived: true, metadata: { a: 1 } });
    const matches = await findAll(userId, "tide");
    expect(matches.map(({ chat }) => chat.title)).toEqual(["tide 3", "tide 2", "tide 1"]);
    expect(matches[1]?.chat).toMatchObject({ userId, archivedAt: expect.any(Date), metadata: { a: 1 } });
    expect(await findAll("nobody", "tide")).toEqual([]);
  });

  test("searchChats finds everything once and in the same order, in pages of any length", async () => {
    const userId = newUser();
    for (let chat = 0; chat < 6; chat++) {
      const messages = Array.from({ length: 5 }, (_, index) =>
        say("user", (chat + index) % 2 ? "the tide" : "the moon", `m${index}`),
      );
      await newChat(userId, messages, chat % 3 ? "" : "tide");
    }
    const all = await findAll(userId, "tide", 1_000);
    expect(all).toHaveLength(17);
    for (const limit of [1, 2, 3, 7, undefined]) expect(await findAll(userId, "tide", limit)).toEqual(all);
  });

  test("searchChats cuts excerpts between characters, not inside them", async () => {
    for (const character of ["👨‍👩‍👧", "e\u0301", "🇩🇪", "a", "字", "\r\n"]) {
      for (const shift of ["", "b"]) {
        const userId = newUser();
        await newChat(userId, [say("user", `${shift}${character.repeat(200)} tide ${character.repeat(200)}`)]);
        const [match] = await findAll(userId, "tide");
        const { before = "", after = "" } = match?.excerpt ?? {};
        const count = (before.length - 1) / character.length;
        expect(count).toBe(Math.min(59, Math.ceil(239 / character.length)));
        expect(before).toBe(`${character.repeat(count)} `);
        expect(after).toBe(` ${character.repeat(Math.min(59, Math.floor(239 / character.length)))}`);
      }
    }
  });

  test("searchChats leaves a letter with 100,000 marks out of an excerpt", async () => {
    const userId = newUser();
    const marks = `e${"\u0301".repeat(100_000)}`;
    await newChat(userId, [say("user", `The ${marks} tide ${marks} comes`)]);
    expect(await findAll(userId, "tide")).toMatchObject([{ excerpt: { before: " ", match: "tide", after: " " } }]);
  });

  test.each([
    ["messages", Array.from({ length: 6_000 }, (_, index) => say("user", index === 10 ? "low tide" : "hay"))],
    [
      "bytes",
      Array.from({ length: 12 }, (_, index) =>
        say("user", `${index === 1 ? "low tide" : "hay"} ${randomBytes(500_000).toString("hex")}`),
      ),
    ],
    [
      "bytes that were compressed",
      Array.from({ length: 12 }, (_, index) =>
        say("user", `${index === 1 ? "low tide" : "hay"} ${"hay ".repeat(250_000)}`),
      ),
    ],
  ])("one call reads a limited number of %s, and returns a cursor even when it finds nothing", async (_, long) => {
    const userId = newUser();
    await newChat(userId, [say("user", "the first tide")]);
    await newChat(userId, long);
    const pages: string[][] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await store.searchChats({ userId, query: "tide", cursor });
      pages.push(page.matches.map(({ excerpt }) => excerpt.before + excerpt.match));
      cursor = page.cursor;
    }
    expect(pages).toEqual([[], ["low tide", "the first tide"]]);
  });

  test("the next page passes over a chat that was changed or deleted meanwhile, and over no other", async () => {
    const userId = newUser();
    const chats = [];
    for (let index = 0; index < 4; index++)
      chats.push(await newChat(userId, [say("user", "tide", "a"), say("user", "tide", "b")], `${index}`));
    for (const [index, { id }] of chats.entries()) {
      await database.query("update chat_store.chats set updated_at = $2 where id = $1", [
        id,
        new Date(1_700_000_000_000 + index),
      ]);
    }
    const first = await store.searchChats({ userId, query: "tide", limit: 3 });
    expect(first.matches.map(({ chat, messageId }) => chat.title + messageId)).toEqual(["3b", "3a", "2b"]);
    await store.deleteChat({ userId, chatId: chats[2]?.id ?? "" });
    await store.upsertChat({ userId, chatId: chats[1]?.id ?? "", messages: [say("user", "tide")] });
    const { matches } = await store.searchChats({ userId, query: "tide", cursor: first.cursor ?? undefined });
    expect(matches.map(({ chat, messageId }) => chat.title + messageId)).toEqual(["0b", "0a"]);
  });

  test.each([-62135596800000, 253402300799999])("searchChats goes on from the time %i", async (time) => {
    const cursor = Buffer.from(JSON.stringify(["chat", time, 2 ** 31])).toString("base64url");
    expect(await store.searchChats({ userId: newUser(), query: "tide", cursor })).toEqual({
      matches: [],
      cursor: null,
    });
  });

  test.each([
    ["query", ""],
    ["query", "a\u0000"],
    ["query", "\ud83d"],
    ["query", "x".repeat(256)],
    ["query", 7],
    ["limit", 0],
    ["cursor", ""],
    ["cursor", "tomorrow"],
    ["cursor", Buffer.from('["chat",1e99,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",-1e15,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",1e15,0]').toString("base64url")],
    // The years 0 and 10,000.
    ["cursor", Buffer.from('["chat",-62135596800001,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",253402300800000,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat","2020-01-01",0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",null,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",1,-1]').toString("base64url")],
    ["cursor", Buffer.from('["chat",1,0.5]').toString("base64url")],
    ["cursor", Buffer.from('["chat",1,2147483649]').toString("base64url")],
    ["cursor", Buffer.from('["chat\\u0000",1,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat\\ud83d",1,0]').toString("base64url")],
    ["cursor", Buffer.from('["chat",1,"0"]').toString("base64url")],
    ["cursor", 7],
  ])("searchChats refuses the %s %j", async (name, value) => {
    const searching = store.searchChats({ userId: "u", query: "tide", [name]: value });
    await expect(searching).rejects.toThrow(InvalidChatError);
    await expect(searching).rejects.toMatchObject({ issues: [{ path: [name] }] });
  });
});
