import type { ChatMatch } from "../types.ts";
import type { Finder } from "./finder.ts";

/** The length of the excerpt on each side of the match, in graphemes. */
const margin = 60;

/** The first match in a text with its surroundings, cut between graphemes. */
export function excerptIn(text: string, find: Finder): ChatMatch["excerpt"] | undefined {
  const found = find(text);
  if (!found) return undefined;
  return {
    before: lastCharacters(text.slice(0, found.start)),
    match: text.slice(found.start, found.end),
    after: firstCharacters(text.slice(found.end)),
  };
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The code units on each side that are split into graphemes. Limited, because the text may be long. */
const reach = margin * 4;

function firstCharacters(text: string): string {
  const end = segmenter.segment(text).containing(reach)?.index ?? text.length;
  const ends = [...segmenter.segment(text.slice(0, end))].map(({ index, segment }) => index + segment.length);
  return text.slice(0, ends.slice(0, margin).at(-1) ?? 0);
}

function lastCharacters(text: string): string {
  const first = segmenter.segment(text).containing(text.length - reach);
  // A letter can have any number of combining marks. One that is longer than the limit is left out.
  const start = first === undefined ? 0 : first.index + (first.segment.length > reach ? first.segment.length : 0);
  const begins = [...segmenter.segment(text.slice(start))].map(({ index }) => start + index);
  return text.slice(begins.slice(-margin)[0] ?? text.length);
}
