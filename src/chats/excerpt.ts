/** On each side of what was found, in characters as a person counts them. */
const margin = 60;

/** The first place where `wanted` is in a text, and what stands around it. Cut between characters, not inside one of several code points. */
export function excerptOf(text: string, wanted: RegExp): { before: string; match: string; after: string } | undefined {
  const found = wanted.exec(text);
  if (!found) return undefined;
  const [match] = found;
  return {
    before: lastCharacters(text.slice(0, found.index)),
    match,
    after: firstCharacters(text.slice(found.index + match.length)),
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
  const start = segmenter.segment(text).containing(text.length - reach)?.index ?? 0;
  const begins = [...segmenter.segment(text.slice(start))].map(({ index }) => start + index);
  return text.slice(begins.slice(-margin)[0] ?? text.length);
}
