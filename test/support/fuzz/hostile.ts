import fc from "fast-check";
import { branchId } from "./expected.ts";

/** A value that is made anew for everybody who reads it, because reading it may change it. */
export class Hostile {
  constructor(
    readonly name: string,
    readonly make: () => unknown,
  ) {}

  /** What a failing case shows. */
  [fc.toStringMethod]() {
    return this.name;
  }
}

const short = (value: unknown) => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 60)}… (${text.length})` : text;
};
const plain = (value: unknown) => new Hostile(short(value), () => structuredClone(value));
const named = (kinds: Record<string, () => unknown>) =>
  Object.entries(kinds).map(([name, make]) => new Hostile(name, make));

/** Texts that would be something else than text to whoever builds SQL, a path, a format or a key out of them. */
export const sqlShaped = [
  "'; drop table chat_store.chats; --",
  "' or '1'='1",
  '"; drop schema chat_store cascade; --',
  "$1",
  "$$; select 1; $$",
  "$tag$ text $tag$",
  "\\",
  "\\'",
  "\\x00",
  "\\u0000",
  "E'\\101'",
  "\\.",
  "--",
  "/* */",
  "%s %n %",
  "{}",
  '{"a","b"}',
  "null",
  "NULL",
  "true",
  "1e999",
  "?",
  ":name",
  "@p1",
  "`",
  "$&",
  "$`",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "then",
  "toJSON",
  "../../etc/passwd",
  "a\r\nb\tc",
  "\u0001\u001f\u007f\u0085\u2028\u2029",
  "a \ufeff byte order mark",
  "\ufffd\uffff",
  "e\u0301 and é",
  "\u202eright to left",
  "👩‍👩‍👧‍👦🏳️‍🌈",
  "İıſẞ",
  " ",
  "\u00a0\u3000",
];

/** Texts that a Postgres `text` can hold. (PGlite takes a byte order mark off the front of what it reads.) */
const holdable = fc.oneof(
  fc.constantFrom(...sqlShaped),
  fc.string({ minLength: 1, unit: "binary" }).filter((text) => !text.includes("\0") && !text.startsWith("\ufeff")),
  fc.string({ minLength: 1, unit: "grapheme" }),
  fc.constantFrom("x".repeat(255), "語".repeat(255), "😀".repeat(127), "\\".repeat(255), "'".repeat(255)),
);

/** Texts that no column of type `text` should be sent. */
const unholdable = fc.oneof(
  fc.constantFrom("", "\0", "a\0b", "\ud800", "a\udc00b", "\udc00\ud800", "😀".repeat(128), "x".repeat(256)),
  fc.constantFrom("x".repeat(1_000), "x".repeat(1_001), "x".repeat(100_000)),
);

/** What is not a text at all, though some of it looks like one. */
export const notText = named({
  undefined: () => undefined,
  null: () => null,
  zero: () => 0,
  NaN: () => Number.NaN,
  true: () => true,
  "a BigInt": () => 1n,
  "a symbol": () => Symbol("text"),
  "a function": () => () => "text",
  "a boxed string": () => Object("text"),
  "an array of one text": () => ["text"],
  "an object with toString": () => ({ toString: () => "text" }),
  "an object with toJSON": () => ({ toJSON: () => "text" }),
  "an object with Symbol.toPrimitive": () => ({ [Symbol.toPrimitive]: () => "text" }),
  "an object without prototype": () => Object.create(null),
  "a Date": () => new Date(0),
  "a proxy of a string object": () => new Proxy(Object("text"), {}),
  "a revoked proxy": revokedProxy,
});

const text = (weight: number, usual: fc.Arbitrary<string>) =>
  fc.oneof(
    { weight: 2 * weight, arbitrary: usual.map(plain) },
    { weight: 4, arbitrary: holdable.map(plain) },
    { weight: 1, arbitrary: unholdable.map(plain) },
    { weight: 1, arbitrary: fc.constantFrom(...notText) },
  );

/** Values that are odd in JavaScript, in JSON, or for whoever walks them. */
export const oddities = named({
  undefined: () => undefined,
  null: () => null,
  "negative zero": () => -0,
  "numbers JSON has no words for": () => [Number.NaN, Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY],
  "numbers at the limits": () => [Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER + 2, 0.1 + 0.2, 1e21],
  "a Date": () => new Date(0),
  "an invalid Date": () => new Date(Number.NaN),
  "a Map and a Set": () => [new Map([[1, 2]]), new Set([1])],
  "typed arrays": () => [new Uint8Array([1, 2]), new Float64Array([Number.NaN]), Buffer.from("bytes")],
  "a URL, a RegExp and an Error": () => [new URL("https://example.com/'"), /'/g, new Error("text")],
  "boxed values": () => [Object("text"), Object(1), Object(false)],
  "a class instance": () =>
    new (class {
      own = 1;
      #hidden = 2;
      get both() {
        return this.own + this.#hidden;
      }
    })(),
  "an object without prototype": () => Object.assign(Object.create(null), { a: 1 }),
  "an object that inherits all it has": () => Object.create({ inherited: 1 }),
  "functions and symbols where JSON drops them": () => ({
    f: () => 1,
    s: Symbol("s"),
    [Symbol("key")]: 1,
    a: [() => 1],
  }),
  "a function": () => () => 1,
  "a symbol": () => Symbol("s"),
  "a BigInt": () => 1n,
  "a BigInt far inside": () => ({ a: [{ b: { c: [0, 1n] } }] }),
  "a cycle": () => {
    const cycle: unknown[] = [];
    cycle.push({ again: [cycle] });
    return cycle;
  },
  "the same object twice": () => {
    const twice = { a: [1] };
    return [twice, twice];
  },
  "an array with holes": () => Object.assign(new Array(3), { 1: "middle", extra: "not an index" }),
  "a long array of holes": () => new Array(10_000),
  "keys of the prototype": () =>
    JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":null,"then":1}'),
  "an object that cannot become a text": () => JSON.parse('{"toString":null,"valueOf":null}'),
  "keys that are numbers": () => ({ 2: "b", 1: "a", "-1": "c", "01": "d" }),
  "a key that is empty, one with NUL, one with half a pair": () => ({ "": 1, "\0": 2, "\ud800": 3 }),
  "texts with NUL and half pairs": () => ["\0", "a\0b", "\ud800", "\udc00\ud800", "😀".slice(0, 1)],
  "texts that look like SQL": () => [...sqlShaped],
  "500 levels": () => nested(500),
  "1,500 levels": () => nested(1_500),
  "100,000 levels": () => nested(100_000),
  "100,000 levels of objects": () => JSON.parse(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`),
  "a getter": () => Object.defineProperty({}, "got", { enumerable: true, get: () => "text" }),
  "a getter that throws": () => throwing(new Error("hostile")),
  "a getter that throws nothing": () => throwing(undefined),
  "a getter that throws a number of levels": () => throwing(new RangeError("hostile")),
  "a getter that gives something else each time": () => counting((count) => count),
  "a getter that gives a BigInt the second time": () => counting((count) => (count === 1 ? "text" : 1n)),
  "a getter that changes its neighbour": () => {
    const value = {
      get first() {
        value.second.push("changed");
        return value.second.length;
      },
      second: ["original"],
    };
    return value;
  },
  "toJSON that gives something else": () => ({ hidden: 1, toJSON: () => ({ shown: [1] }) }),
  "toJSON that gives undefined": () => ({ toJSON: () => undefined }),
  "toJSON that gives a BigInt": () => ({ toJSON: () => 1n }),
  "toJSON that throws": () => ({
    toJSON() {
      throw new TypeError("hostile");
    },
  }),
  "toJSON that is no function": () => ({ toJSON: "text" }),
  "a proxy of an object": () => new Proxy({ a: 1 }, {}),
  "a proxy of an array": () => new Proxy([1, { b: 2 }], {}),
  "a proxy that makes up its keys": () =>
    new Proxy(
      {},
      {
        ownKeys: () => ["made", "up"],
        // Without it, newer versions of zod miss the keys that older ones read.
        has: () => true,
        getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
        get: (_, key) => (key === "toJSON" ? undefined : String(key)),
      },
    ),
  "a proxy that throws at everything": throwingProxy,
  "a revoked proxy": revokedProxy,
  "an object that looks like a promise": () => ({
    // biome-ignore lint/suspicious/noThenProperty: the trap this is.
    then() {
      throw new Error("awaited");
    },
  }),
  "raw JSON": () => ({ a: "rawJSON" in JSON && typeof JSON.rawJSON === "function" ? JSON.rawJSON("1.0") : 1 }),
});

/** Too large to be made for every case. */
export const large = named({
  "a text of 5 MB": () => "0123456789".repeat(500_000),
  "a text of 5 MB of NUL": () => "\0".repeat(500_000),
  "an object of 50,000 keys": () => Object.fromEntries(Array.from({ length: 50_000 }, (_, key) => [`key ${key}`, key])),
});

// Where JSON.stringify has no limit of nesting, as on Node 26, Postgres is the one to refuse: late, so that a conflict may
// come first, and slowly. These have their turn in every place anyway.
const isBottomless = ({ name }: Hostile) => name.startsWith("100,000 levels") && process.versions.node >= "26";
const odd = fc.constantFrom(...oddities.filter((value) => !isBottomless(value)));
const jsonValue = fc.oneof(
  fc.jsonValue({ stringUnit: "binary" }).map(plain),
  fc.json({ stringUnit: "binary" }).map((json) => new Hostile(short(json), () => JSON.parse(json))),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }).map(plain),
);

/** Anything, also inside of something. */
const anything = fc.oneof(
  { weight: 3, arbitrary: jsonValue },
  { weight: 3, arbitrary: odd },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.oneof(jsonValue, odd), { maxLength: 3 })
      .map((values) => new Hostile(`[${values.map(({ name }) => name)}]`, () => values.map((value) => value.make()))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...sqlShaped, "", "text", "type"), fc.oneof(jsonValue, odd)).map(
      ([key, value]) =>
        // `__proto__` as a key of its own, as JSON.parse makes it.
        new Hostile(`{${short(key)}: ${value.name}}`, () =>
          Object.defineProperty({}, key, { value: value.make(), enumerable: true, writable: true, configurable: true }),
        ),
    ),
  },
);

const parts = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(anything, { maxLength: 3 })
      .map(
        (values) => new Hostile(`parts [${values.map(({ name }) => name)}]`, () => values.map((value) => value.make())),
      ),
  },
  { weight: 1, arbitrary: odd },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...named({
        "parts with a toJSON": () => Object.assign(["hidden"], { toJSON: () => ["shown"] }),
        "parts whose toJSON gives a text": () => Object.assign([], { toJSON: () => "[" }),
        "parts that are an array's subclass": () => new (class Parts extends Array {})(3),
        "parts from another realm's proxy": () => new Proxy([{ type: "text", text: "'" }], {}),
      }),
    ),
  },
);

/** How an object may hold its fields. */
const shapes: Record<string, (fields: Record<string, unknown>) => unknown> = {
  "": (fields) => fields,
  "frozen ": (fields) => Object.freeze(fields),
  "inheriting ": (fields) => Object.create(fields),
  "proxied ": (fields) => new Proxy(fields, {}),
  "prototypeless ": (fields) => Object.assign(Object.create(null), fields),
  "with a key __proto__ ": (fields) =>
    Object.assign(JSON.parse('{"__proto__":{"userId":"u","polluted":true}}'), fields),
  "with getters that throw when asked again ": (fields) =>
    onceReadable(fields, () => {
      throw new Error("asked again");
    }),
  "with getters that lie when asked again ": (fields) => onceReadable(fields, () => "s"),
};

const record = (fields: Record<string, fc.Arbitrary<Hostile>>): fc.Arbitrary<Hostile> =>
  fc
    .record({
      shape: fc.oneof(
        { weight: 6, arbitrary: fc.constant("") },
        { weight: 1, arbitrary: fc.constantFrom(...Object.keys(shapes)) },
      ),
      fields: fc.record(fields),
    })
    .map(
      ({ shape, fields }) =>
        new Hostile(`${shape}{${Object.entries(fields).map(([key, { name }]) => `${key}: ${name}`)}}`, () =>
          shapes[shape]?.(Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, value.make()]))),
        ),
    );

/** Most often what `usual` says, now and then anything. */
const mostly = (usual: fc.Arbitrary<Hostile>) =>
  fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: anything });
const optional = (usual: fc.Arbitrary<Hostile>) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(plain(undefined)) }, { weight: 1, arbitrary: usual });

const userId = text(20, fc.constantFrom("u", "u", "u", "s"));
const chatId = text(10, fc.constantFrom("c", "c", "c", "d", "new"));
const title = optional(text(1, fc.constantFrom("", "Kept", "x".repeat(1_000))));
const version = optional(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(1, 2).map(plain) },
    { weight: 1, arbitrary: fc.constantFrom(0, -1, 1.5, 2 ** 31 - 1, 2 ** 31, "1").map(plain) },
    { weight: 1, arbitrary: odd },
  ),
);

const message = mostly(
  record({
    id: text(10, fc.constantFrom("q", "a", "m1", "m2", "m3")),
    role: text(20, fc.constantFrom("user", "user", "assistant", "system")),
    metadata: optional(anything),
    parts,
  }),
);
const messages = mostly(
  fc
    .array(message, { maxLength: 4 })
    .map((list) => new Hostile(`[${list.map(({ name }) => name)}]`, () => list.map((message) => message.make()))),
);

/** The message of a browser that answers the pending tool calls of the stored message "a". */
const answer = fc
  .record({
    state: fc.constantFrom("output-available", "output-error", "approval-responded", "input-available"),
    id: fc.constantFrom("t", "t", "t", "other"),
    value: fc.oneof(jsonValue, odd),
    errorText: fc.oneof(jsonValue, odd),
    more: fc.option(anything, { nil: undefined }),
  })
  .map(
    ({ state, id, value, errorText, more }) =>
      new Hostile(`answer ${state} ${id} ${value.name} ${errorText.name} ${more?.name ?? ""}`, () => ({
        id: "a",
        role: "assistant",
        parts: [
          { type: "text", text: "I need that file." },
          {
            type: "tool-read",
            toolCallId: id,
            state,
            input: value.make(),
            output: value.make(),
            errorText: errorText.make(),
            approval: value.make(),
          },
          ...(more ? [more.make()] : []),
        ],
      })),
  );

/** Dates that are not what they say they are. */
const dates = named({
  "a Date by its prototype only": () => Object.create(Date.prototype),
  "a Date that writes itself as SQL": () =>
    Object.assign(new Date(0), { toISOString: () => "'; select 1; --", toJSON: () => "x" }),
  "a Date that throws when written": () =>
    Object.assign(new Date(0), {
      toISOString() {
        throw new Error("hostile");
      },
    }),
  "a Date of another class": () => new (class Moment extends Date {})(0),
});

const previous = optional(
  mostly(
    record({
      id: text(5, fc.constant("c")),
      updatedAt: fc.oneof(
        {
          weight: 3,
          arbitrary: fc
            .date({ noInvalidDate: false })
            .map((date) => new Hostile(`date ${date.getTime()}`, () => new Date(date))),
        },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            ...[0, 8.64e15, -8.64e15, -62_135_596_800_000, 253_402_300_799_999].map(
              (time) => new Hostile(`date ${time}`, () => new Date(time)),
            ),
          ),
        },
        { weight: 1, arbitrary: fc.constantFrom(...dates) },
        { weight: 1, arbitrary: odd },
      ),
    }),
  ),
);

const messageId = text(10, fc.constantFrom("q", "a", "m1"));
const limit = fc.oneof(
  fc.constantFrom(1, 2, Number.MAX_SAFE_INTEGER, 2 ** 53, 0, -1, 0.5, "1").map(plain),
  fc.constantFrom(1, 2).map(plain),
  odd,
);

export const upsertChatInput = mostly(
  fc.oneof(
    { weight: 3, arbitrary: record({ userId, chatId, title, messages, expectedVersion: version }) },
    { weight: 1, arbitrary: record({ userId, chatId, title, messages, after: messageId, expectedVersion: version }) },
  ),
);
export const getMessagesInput = mostly(record({ userId, chatId, limit, before: optional(messageId) }));
export const searchChatsInput = mostly(
  record({
    userId,
    query: text(10, fc.constantFrom("why", "I NEED", "kept", "u's", "text", "%", "\\", '"')),
    limit: optional(limit),
  }),
);
export const getChatInput = mostly(record({ userId, chatId }));
export const getChatsInput = mostly(
  record({
    userId,
    limit: optional(limit),
    before: previous,
  }),
);
const flag = optional(
  fc.oneof(
    { weight: 3, arbitrary: fc.boolean().map(plain) },
    { weight: 1, arbitrary: fc.constantFrom("true", 0, 1, null).map(plain) },
    { weight: 1, arbitrary: odd },
  ),
);

export const updateChatInput = mostly(
  fc.oneof(
    record({ userId, chatId: text(10, fc.constantFrom("c", "d", "e")), title, titleIfEmpty: title, archived: flag }),
    record({ userId, chatId, title, expectedTitle: title, archived: flag }),
    record({ userId, chatId, title, metadata: anything }),
    record({ userId, chatId, titleIfEmpty: title, archived: flag, metadata: optional(anything) }),
  ),
);
export const forkChatInput = mostly(
  record({
    userId,
    chatId,
    newChatId: text(10, fc.constantFrom("new", "new", "c", "d")),
    throughMessageId: optional(messageId),
    title,
  }),
);
export const updateMessageInput = mostly(record({ userId, chatId, message, expectedVersion: version }));
export const deleteMessageInput = mostly(
  record({ userId, chatId, messageId, following: flag, expectedVersion: version }),
);
export const switchBranchInput = mostly(
  record({
    userId,
    chatId,
    branchId: text(10, fc.constantFrom(branchId, branchId.toUpperCase(), "00000000-0000-0000-0000-000000000000", "b")),
    expectedVersion: version,
  }),
);
export const claimChatsInput = mostly(record({ fromUserId: userId, userId: text(20, fc.constantFrom("u", "v")) }));
export const userInput = mostly(record({ userId }));
export const startTurnInput = mostly(
  record({ userId, chatId, title, message: fc.oneof(message, answer), limit: optional(limit) }),
);
export const answerInput = mostly(record({ responseMessage: message }));

/** Inputs of `upsertChat` that hold the value where the content of messages is, and in place of what holds it. */
export const asContent = (value: Hostile) => [
  saved("a part", value, (part) => ({ messages: [{ id: "m1", role: "user", parts: [part] }] })),
  saved("metadata", value, (metadata) => ({ messages: [{ id: "m1", role: "user", parts: [], metadata }] })),
];
export const asStructure = (value: Hostile) => [
  saved("parts", value, (parts) => ({ messages: [{ id: "m1", role: "user", parts }] })),
  saved("a message", value, (message) => ({ messages: [message] })),
  saved("messages", value, (messages) => ({ messages })),
  value,
];
export const asField = (value: Hostile) => [
  saved("id", value, (id) => ({ messages: [{ id, role: "user", parts: [] }] })),
  saved("role", value, (role) => ({ messages: [{ id: "m1", role, parts: [] }] })),
  saved("userId", value, (userId) => ({ userId })),
  saved("chatId", value, (chatId) => ({ chatId })),
  saved("title", value, (title) => ({ title })),
  saved("expectedVersion", value, (expectedVersion) => ({ expectedVersion })),
];
/** One input that holds the text in every field that is a text, and inside of those that are not. */
export const everywhere = (text: string) =>
  new Hostile(`everywhere: ${short(text)}`, () => ({
    userId: text,
    chatId: text,
    title: text,
    messages: [{ id: text, role: text, metadata: { [text]: text }, parts: [{ type: text, text }, text] }],
  }));

function saved(place: string, value: Hostile, change: (made: unknown) => object) {
  const base = () => ({ userId: "u", chatId: "c", messages: [] });
  return new Hostile(`${place}: ${value.name}`, () => ({ ...base(), ...change(value.make()) }));
}

function nested(levels: number): unknown {
  return JSON.parse("[".repeat(levels) + "]".repeat(levels));
}

function throwing(thrown: unknown): object {
  return Object.defineProperty({ before: 1 }, "got", {
    enumerable: true,
    get() {
      throw thrown;
    },
  });
}

function counting(value: (count: number) => unknown): object {
  let count = 0;
  return Object.defineProperty({}, "got", { enumerable: true, get: () => value(++count) });
}

function throwingProxy(): object {
  const trap = () => {
    throw new Error("hostile");
  };
  return new Proxy({}, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap });
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Fields that say one thing to the check and another to the use, if there are two reads. */
function onceReadable(fields: Record<string, unknown>, again: () => unknown): object {
  const read = new Set<string>();
  const object = {};
  for (const [key, value] of Object.entries(fields)) {
    Object.defineProperty(object, key, {
      enumerable: true,
      get() {
        if (read.has(key)) return again();
        read.add(key);
        return value;
      },
    });
  }
  return object;
}
