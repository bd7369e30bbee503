import { caseFolder } from "./letter-cases.ts";

/** Returns the first match in a text, in code units. */
export type Finder = (text: string) => { start: number; end: number } | undefined;

/**
 * Finds a query in upper and lower case. The time is linear in the length of the text for every text and query, because
 * the algorithm of Knuth, Morris and Pratt never goes back in the text.
 */
export function finderOf(query: string): Finder {
  const fold = caseFolder();
  const wanted = Array.from(query, (character) => fold(character.codePointAt(0) ?? 0));
  const restarts = restartsIn(wanted);

  return (text) => {
    let matched = 0;
    for (let index = 0; index < text.length; ) {
      const point = text.codePointAt(index) ?? 0;
      const letter = fold(point);
      index += point > 0xffff ? 2 : 1;
      while (matched > 0 && letter !== wanted[matched]) matched = restarts[matched - 1] ?? 0;
      if (letter === wanted[matched]) matched++;
      // A match has as many code units as the query, because all cases of a letter do.
      if (matched === wanted.length) return { start: index - query.length, end: index };
    }
    return undefined;
  };
}

/**
 * For each prefix of the query, the length of its longest other suffix that is also a prefix of the query. After a
 * mismatch the search continues with that prefix matched.
 */
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
