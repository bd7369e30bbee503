import { type Name, names } from "./contenders.ts";
import { type LongChatResult, longByShort } from "./long-chats.ts";
import type { Outcome } from "./races.ts";

export interface Result {
  verb: string;
  /** How many the chat has; null for a list of chats. */
  messages: number | null;
  network: "loopback" | "1 ms each way";
  unit: "ms" | "saves/s" | "µs";
  outcome: Outcome;
}

/** Two contenders whose ratio tells something: times of the first by those of the second, or rates the other way round. */
const ratios = [
  ["prepare: true", "by hand, named"],
  ["ours", "by hand"],
  ["delete+insert", "ours"],
] as const;

/** One line a race, in columns: the first two of words, the others of numbers. */
export function table(results: readonly Result[], { markdown }: { markdown: boolean }): string {
  const head = ["", "network", "messages", ...names, ...ratios.map((pair) => pair.join(" ÷ "))];
  const rows = results.map(({ verb, network, messages, unit, outcome }) => {
    const show = (value: number | undefined) =>
      value === undefined ? "" : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
    const ratio = ([first, second]: (typeof ratios)[number]) => {
      const [slow, fast] = unit === "saves/s" ? [outcome[second], outcome[first]] : [outcome[first], outcome[second]];
      return slow === undefined || fast === undefined ? "" : (slow / fast).toFixed(2);
    };
    return [
      verb,
      network,
      messages?.toLocaleString("en") ?? "",
      ...names.map((name) => show(outcome[name])),
      ...ratios.map(ratio),
    ];
  });
  return columns([head, ...rows], { markdown, texts: 2 });
}

/** A table, of which the first line is its head and the first columns are texts. */
export function columns(lines: readonly string[][], { markdown, texts }: { markdown: boolean; texts: number }): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((row) => row[column]?.length ?? 0)));
  const aligned = lines.map((row) =>
    widths.map((width, column) => (column < texts ? row[column]?.padEnd(width) : row[column]?.padStart(width))),
  );
  if (!markdown) return aligned.map((row) => row.join("   ")).join("\n");
  const rule = widths.map((width, column) => (column < texts ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return aligned
    .toSpliced(1, 0, rule)
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}

/** What this package aims for, and whether it was so. */
export function check(results: readonly Result[], longChats: readonly LongChatResult[], listBuffers: number) {
  /** How much of the first there is for one of the second. */
  const share = (first: Name, second: Name, verb: string, messages: number, network = "loopback") => {
    const found = results.find((one) => one.verb === verb && one.messages === messages && one.network === network);
    return (found?.outcome[first] ?? Number.NaN) / (found?.outcome[second] ?? Number.NaN);
  };
  const prepared = (verb: string, messages: number) => share("prepare: true", "by hand, named", verb, messages);
  const unprepared = (verb: string, messages: number) => share("ours", "by hand", verb, messages);
  const aims: [what: string, found: number, sign: ">=" | "<=", limit: number][] = [
    ...[10, 100, 1_000, 10_000].flatMap((length): [string, number, "<=", number][] => [
      [
        `answer to ${length.toLocaleString("en")} messages, prepare: true ÷ by hand, named`,
        prepared("answer", length),
        "<=",
        1.5,
      ],
      [`answer to ${length.toLocaleString("en")} messages, ours ÷ by hand`, unprepared("answer", length), "<=", 1.8],
    ]),
    ["save to 10 messages, prepare: true ÷ by hand, named", prepared("save", 10), "<=", 2],
    ["save to 100 messages, prepare: true ÷ by hand, named", prepared("save", 100), "<=", 3],
    ["save to 10 messages, ours ÷ by hand", unprepared("save", 10), "<=", 1.6],
    ["answers of 16 at once, prepare: true ÷ by hand, named", prepared("answers, 16 at once", 8), ">=", 0.55],
    ["saves of 16 at once, prepare: true ÷ by hand, named", prepared("saves, 16 at once", 10), ">=", 0.45],
    ["answers of 16 at once, ours ÷ by hand", unprepared("answers, 16 at once", 8), ">=", 0.45],
    ["saves of 16 at once, ours ÷ by hand", unprepared("saves, 16 at once", 10), ">=", 0.45],
    ["save to 100 messages, delete+insert ÷ ours", share("delete+insert", "ours", "save", 100), ">=", 4],
    ["save to 1,000 messages, delete+insert ÷ ours", share("delete+insert", "ours", "save", 1_000), ">=", 6],
    [
      "save to 100 messages, 1 ms each way, ours ÷ by hand, named",
      share("ours", "by hand, named", "save", 100, "1 ms each way"),
      "<=",
      1.5,
    ],
    ["load 100 messages, ours ÷ by hand, named", share("ours", "by hand, named", "load", 100), "<=", 1.7],
    ["load 1,000 messages, ours ÷ by hand, named", share("ours", "by hand, named", "load", 1_000), "<=", 1.7],
    ["open the last 30 of 10,000 messages ÷ of 100", longByShort(longChats, "open its last 30"), "<=", 1.5],
    ["a turn in a window of 10,000 messages ÷ of 100", longByShort(longChats, "a turn in a window of 40"), "<=", 1.3],
    ["buffers touched by the first page of 5,000 chats", listBuffers, "<=", 30],
  ];
  return aims.map(([what, found, sign, limit]) => ({
    what,
    found,
    aim: `${sign} ${limit}`,
    reached: sign === ">=" ? found >= limit : found <= limit,
  }));
}
