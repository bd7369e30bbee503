/** Letters of which Unicode's own mapping to the other case is one letter, and JavaScript's several: it keeps the dot of "İ" apart. */
const exceptions = new Map([["İ", "i"]]);

/** No letter that comes in two cases has a higher code point. */
const end = 0x1f000;

interface LetterCases {
  /** By code point: that of one letter which stands for all cases of this one. */
  representatives: Uint32Array;
  /** All cases of the letters that have several, by their representative. */
  cases: Map<number, string[]>;
}

/** Takes some 20 ms, so that it is done when something is looked for, and not when the package is loaded. */
let known: LetterCases | undefined;

/**
 * Letters that are the same but for their case: not only "k" and "K", but also the sign for Kelvin, both small sigmas, "ß" and "ẞ". Only
 * single characters: that "ß" is "SS" in upper case does not make it the same.
 */
function letterCases(): LetterCases {
  if (known) return known;
  const representatives = Uint32Array.from({ length: end }, (_, point) => point);
  const groups = new Map<string, string[]>();
  for (let point = 0; point < end; point++) {
    const letter = String.fromCodePoint(point);
    const lower = letter.toLowerCase();
    if (lower === letter && letter.toUpperCase() === letter) continue;
    const key = exceptions.get(letter) ?? lower.toUpperCase().toLowerCase();
    const group = groups.get(key);
    if (group) group.push(letter);
    else groups.set(key, [letter]);
  }
  const cases = new Map<number, string[]>();
  for (const group of groups.values()) {
    const points = group.map((letter) => letter.codePointAt(0) ?? 0);
    const [representative = 0] = points;
    cases.set(representative, group);
    for (const point of points) representatives[point] = representative;
  }
  known = { representatives, cases };
  return known;
}

/** The same for all cases of a letter, and for no other character. */
export function caseless(): (point: number) => number {
  const { representatives } = letterCases();
  return (point) => representatives[point] ?? point;
}

/** A character in each case that it has, all of which take up equally many code units. */
export function inEachCase(character: string): string[] {
  const { cases } = letterCases();
  return cases.get(caseless()(character.codePointAt(0) ?? 0)) ?? [character];
}
