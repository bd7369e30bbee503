import { caseless } from "./letter-cases.ts";

/** Gives the first place in a text, if there is one, in code units. */
export type Finder = (text: string) => { start: number; end: number } | undefined;

/**
 * Looks for a query in upper and lower case. It takes time by the length of a text alone, whatever the text and the query hold: it never
 * goes back in the text (the algorithm of Knuth, Morris and Pratt).
 */
export function finderOf(query: string): Finder {
  const letter = caseless();
  const wanted = Array.from(query, (character) => letter(character.codePointAt(0) ?? 0));
  const restarts = restartsIn(wanted);

  return (text) => {
    let matched = 0;
    for (let index = 0; index < text.length; ) {
      const point = text.codePointAt(index) ?? 0;
      const found = letter(point);
      index += point > 0xffff ? 2 : 1;
      while (matched > 0 && found !== wanted[matched]) matched = restarts[matched - 1] ?? 0;
      if (found === wanted[matched]) matched++;
      // All cases of a letter take up equally many code units.
      if (matched === wanted.length) return { start: index - query.length, end: index };
    }
    return undefined;
  };
}

/** For each beginning of a query, the length of the longest beginning at its end, other than itself: what has been matched of the next find. */
function restartsIn(wanted: number[]): number[] {
  const restarts = [0];
  let matched = 0;
  for (const letter of wanted.slice(1)) {
    while (matched > 0 && letter !== wanted[matched]) matched = restarts[matched - 1] ?? 0;
    if (letter === wanted[matched]) matched++;
    restarts.push(matched);
  }
  return restarts;
}
