/** The largest body that is sent. Web frameworks let through 100 KB (Express) to 1 MB (Next's server actions) by default. */
const megabyte = 1_000_000;

/** `levels` times inside of each other, and `end` in the innermost. Made from the inside, without recursion. */
function nested(levels: number, around: (inner: unknown) => unknown, end: unknown): unknown {
  let value = end;
  for (let level = 0; level < levels; level++) value = around(value);
  return value;
}
const wide = (length: number, make: (index: number) => unknown, end: unknown) => [
  ...Array.from({ length: length - 1 }, (_, index) => make(index)),
  end,
];
const keyed = (length: number, key: (index: number) => string, end: unknown) =>
  Object.fromEntries([...wide(length, (index) => [key(index), 0], ["end", end])] as [string, unknown][]);

/** A value of about a megabyte as JSON, at the end of which is what `end` is. */
export const shapes: Record<string, (end: unknown) => unknown> = {
  "500,000 arrays in each other": (end) => nested(megabyte / 2, (inner) => [inner], end),
  "150,000 objects in each other": (end) => nested(150_000, (inner) => ({ a: inner }), end),
  "2,000 arrays in each other, and 300,000 in the last": (end) =>
    nested(
      2_000,
      (inner) => [inner],
      wide(300_000, () => [], end),
    ),
  "2,000 arrays in each other, of 150 arrays each": (end) => nested(2_000, (inner) => wide(150, () => [], inner), end),
  "8,000 arrays in each other, of 40 arrays each": (end) => nested(8_000, (inner) => wide(40, () => [], inner), end),
  "4,000 arrays in each other": (end) => nested(4_000, (inner) => [inner], end),
  "2,000 arrays in each other, around a long text": (end) =>
    nested(2_000, (inner) => [inner, 0], ["x".repeat(900_000), end]),
  "2,000 arrays in each other, each after a long text": (end) =>
    nested(2_000, (inner) => ["x".repeat(480), inner], end),
  "1,000 objects in each other, under long keys": (end) =>
    nested(1_000, (inner) => ({ ["k".repeat(980)]: inner }), end),
  "one key": (end) => ({ ["k".repeat(megabyte - 100)]: end }),
  "80,000 keys": (end) => keyed(80_000, String, end),
  "80,000 keys that are numbers, backwards": (end) => keyed(80_000, (index) => String(99_999 - index), end),
  "60,000 times the key of the prototype": (end) =>
    nested(60_000, (inner) => Object.fromEntries([["__proto__", inner]]), end),
  "500,000 numbers": (end) => wide(megabyte / 2, () => 0, end),
  "330,000 texts": (end) => wide(330_000, () => "", end),
  "330,000 arrays": (end) => wide(330_000, () => [], end),
  "120,000 objects": (end) => wide(120_000, () => ({ a: 0 }), end),
  "one text": (end) => ["x".repeat(megabyte - 100), end],
  "one text of what is escaped": (end) => ["\0\ud800".repeat(80_000), '"\\'.repeat(120_000), end],
  "one text of blanks": (end) => [" \n".repeat(300_000), end],
  "25,000 messages": (end) =>
    wide(25_000, (index) => ({ id: `m${index}`, role: "user", parts: [] }), { id: "e", role: "user", parts: [end] }),
  "25,000 messages of one id": (end) =>
    wide(25_000, () => ({ id: "m", role: "user", parts: [] }), { id: "m", role: "user", parts: [end] }),
  "30,000 parts": (end) => wide(30_000, () => ({ type: "text", text: "x" }), { type: "text", text: end }),
  "15,000 tool calls": (end) =>
    wide(15_000, (index) => ({ type: "tool-read", toolCallId: `t${index}`, state: "input-available" }), end),
};

/** Those that JSON.stringify takes for too deep, as Postgres does where it has no limit of its own, from Node 26 on. */
export const tooDeep = [
  "4,000 arrays in each other",
  "500,000 arrays in each other",
  "150,000 objects in each other",
  "8,000 arrays in each other, of 40 arrays each",
  "60,000 times the key of the prototype",
];

const cycle: unknown[] = [];
cycle.push(cycle);

export const ends: Record<string, unknown> = {
  "a number": 1,
  undefined,
  "a function": () => 1,
  NaN: Number.NaN,
  "a BigInt": 1n,
  "a cycle": cycle,
  "a getter that throws": {
    get thrown() {
      throw new Error("hostile");
    },
  },
};
/** Those that JSON cannot carry, be it as null. */
export const notCarried = ["a BigInt", "a cycle", "a getter that throws"];

/** Where in what the store is given a body may end up: whether it is content there, which is taken if JSON can carry it. */
export const entries = {
  messages: { isContent: false },
  "a message": { isContent: false },
  parts: { isContent: false },
  "a part": { isContent: true },
  metadata: { isContent: true },
  "ids and title": { isContent: false },
  "a question": { isContent: true },
  "a question's ids and title": { isContent: false },
  "an edited question": { isContent: true },
  "a tool's output": { isContent: true },
  "a text sent again": { isContent: false },
  "an approval": { isContent: true },
  "an answer": { isContent: true },
  "the input of reads": { isContent: false },
};
export type Entry = keyof typeof entries;

/** All ends where parts are written down, and elsewhere one that JSON can carry and one that it cannot. */
export const endsIn = (entry: Entry) => (entry === "a part" ? Object.keys(ends) : ["a number", "a BigInt"]);
