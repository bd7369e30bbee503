import type { ChatMatch } from "../types.ts";
import type { Finder } from "./finder.ts";

/** On each side of what was found, in characters as a person counts them. */
const margin = 60;

/** What `find` finds in a text, and what stands around it. Cut between characters, not inside one of several code points. */
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

/** On each side, too, in code units: few enough to find in no time where characters begin. */
const reach = margin * 4;

function firstCharacters(text: string): string {
  const end = segmenter.segment(text).containing(reach)?.index ?? text.length;
  const ends = [...segmenter.segment(text.slice(0, end))].map(({ index, segment }) => index + segment.length);
  return text.slice(0, ends.slice(0, margin).at(-1) ?? 0);
}

function lastCharacters(text: string): string {
  const first = segmenter.segment(text).containing(text.length - reach);
  // A letter can have any number of marks: one that is longer than all of it should be is left out.
  const start = first === undefined ? 0 : first.index + (first.segment.length > reach ? first.segment.length : 0);
  const begins = [...segmenter.segment(text.slice(start))].map(({ index }) => start + index);
  return text.slice(begins.slice(-margin)[0] ?? text.length);
}
