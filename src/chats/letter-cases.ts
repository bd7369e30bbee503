/** Letters of which Unicode's own mapping to the other case is one letter, and JavaScript's several: it keeps the dot of "İ" apart. */
const exceptions = new Map([["İ", "i"]]);

/** The code points among which there are letters in several cases: those between them are Chinese, Korean, cuneiform and their like. */
const ranges = [
  [0, 0x2e80],
  [0xa640, 0xac00],
  [0xfb00, 0x12000],
  [0x16d00, 0x17000],
  [0x1e000, 0x1f000],
] as const;
const end = 0x1f000;

interface LetterCases {
  /** By code point: that of one letter which stands for all cases of this one. 0 where there are no others. */
  representatives: Uint32Array;
  /** All cases of the letters that have several, by their representative. */
  cases: Map<number, string[]>;
}

/** Takes some milliseconds, so that it is done when something is looked for, and not when the package is loaded. */
let known: LetterCases | undefined;

/**
 * Letters that are the same but for their case: not only "k" and "K", but also the sign for Kelvin, both small sigmas, "ß" and "ẞ". Only
 * single characters: that "ß" is "SS" in upper case does not make it the same.
 */
function letterCases(): LetterCases {
  known ??= learnLetterCases();
  return known;
}

function learnLetterCases(): LetterCases {
  const groups = new Map<string, string[]>();
  for (const [from, to] of ranges) {
    for (let point = from; point < to; point++) {
      const letter = String.fromCodePoint(point);
      const lower = letter.toLowerCase();
      if (lower === letter && letter.toUpperCase() === letter) continue;
      const key = exceptions.get(letter) ?? lower.toUpperCase().toLowerCase();
      const group = groups.get(key);
      if (group) group.push(letter);
      else groups.set(key, [letter]);
    }
  }
  const representatives = new Uint32Array(end);
  const cases = new Map<number, string[]>();
  for (const group of groups.values()) {
    const points = group.map((letter) => letter.codePointAt(0) ?? 0);
    const [representative = 0] = points;
    cases.set(representative, group);
    for (const point of points) representatives[point] = representative;
  }
  return { representatives, cases };
}

/** The same for all cases of a letter, and for no other character. */
export function caseless(): (point: number) => number {
  const { representatives } = letterCases();
  return (point) => representatives[point] || point;
}

/** A character in each case that it has, all of which take up equally many code units. */
export function inEachCase(character: string): string[] {
  const { cases } = letterCases();
  return cases.get(caseless()(character.codePointAt(0) ?? 0)) ?? [character];
}
