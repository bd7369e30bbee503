import { type LongChatResult, longByShort } from "./long-chats.ts";
import type { Outcome } from "./races.ts";

export interface Result extends Outcome {
  verb: string;
  /** How many the chat has; null for a list of chats. */
  messages: number | null;
  network: "loopback" | "1 ms each way";
}

/** One line a race, in columns: the first two of words, the others of numbers. The ratios are of times. */
export function table(results: readonly Result[], { markdown }: { markdown: boolean }): string {
  const times = ["ours", "delete+insert", "by hand", "delete+insert ÷ ours", "ours ÷ by hand"];
  const head = ["", "network", "messages", ...times];
  const rows = results.map(({ verb, network, messages, unit, ours, tutorial, floor }) => {
    const show = (value: number | null) => (value === null ? "" : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`);
    const ratio = (slow: number | null, fast: number) =>
      slow === null ? "" : (unit === "ms" ? slow / fast : fast / slow).toFixed(2);
    const times = [show(ours), show(tutorial), show(floor), ratio(tutorial, ours), ratio(ours, floor)];
    return [verb, network, messages?.toLocaleString("en") ?? "", ...times];
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
  const find = (verb: string, messages: number, network = "loopback") => {
    const found = results.find((one) => one.verb === verb && one.messages === messages && one.network === network);
    const { ours, tutorial, floor } = found ?? { ours: Number.NaN, tutorial: null, floor: Number.NaN };
    return { gain: (tutorial ?? Number.NaN) / ours, price: ours / floor };
  };
  const aims: [what: string, found: number, sign: ">=" | "<=", limit: number][] = [
    ["save to 100 messages, delete+insert ÷ ours", find("save", 100).gain, ">=", 4],
    ["save to 1,000 messages, delete+insert ÷ ours", find("save", 1_000).gain, ">=", 6],
    ["save to 100 messages, 1 ms each way, ours ÷ by hand", find("save", 100, "1 ms each way").price, "<=", 1.5],
    ["load 100 messages, ours ÷ by hand", find("load", 100).price, "<=", 1.7],
    ["load 1,000 messages, ours ÷ by hand", find("load", 1_000).price, "<=", 1.7],
    ["open the last 30 of 10,000 messages ÷ of 100", longByShort(longChats, "open its last 30"), "<=", 1.5],
    ["a turn in a window of 10,000 messages ÷ of 100", longByShort(longChats, "a turn in a window of 40"), "<=", 1.5],
    ["buffers touched by the first page of 5,000 chats", listBuffers, "<=", 30],
  ];
  return aims.map(([what, found, sign, limit]) => ({
    what,
    found,
    aim: `${sign} ${limit}`,
    reached: sign === ">=" ? found >= limit : found <= limit,
  }));
}
