/** A query as regular expressions that know of upper and lower case by themselves: no collation and no setting changes what is found. */
export interface SearchPattern {
  /** For Postgres and a text as it is. */
  text: string;
  /**
   * For Postgres and the JSON text of parts. Finds a little more than what counts, for what is parsed is looked at again: any text under
   * a key "text", and each that writes other characters than it must as `\u…`.
   */
  json: string;
  /** For JavaScript and a text as it is. */
  regExp: RegExp;
}

export function patternOf(query: string): SearchPattern {
  const characters = [...query].map(inEachCase);
  const each = (write: (variants: string[]) => string) => characters.map(write).join("");
  const inText = String.raw`"text"\s*:\s*"(?:[^"\\]|\\.)*`;
  return {
    text: each(literal),
    json: String.raw`${inText}(?:${each(literalInJson)}|\\u(?:[^0]|0[^0]|00[^01]))`,
    regExp: new RegExp(
      each((variants) => `[${variants.map((each) => `\\u{${each.codePointAt(0)?.toString(16)}}`).join("")}]`),
      "u",
    ),
  };
}

/** Only single characters: that "ß" is "SS" in upper case does not make it be found by that. */
function inEachCase(character: string): string[] {
  const [upper, lower] = [character.toUpperCase(), character.toLowerCase()];
  const all = [character, upper, lower, upper.toLowerCase(), lower.toUpperCase()];
  return [...new Set(all.filter((each) => [...each].length === 1))];
}

/** For Postgres, where a backslash makes any character but letters and digits an ordinary one. */
function literal(variants: string[]): string {
  const [character = ""] = variants;
  if (variants.length > 1) return `[${variants.join("")}]`;
  return /[\0-\x7f]/.test(character) && !/[a-z\d]/i.test(character) ? `\\${character}` : character;
}

function literalInJson(variants: string[]): string {
  const [character = ""] = variants;
  if (character === '"' || character === "\\") return `\\\\\\${character}`;
  // Written with or without a backslash.
  if (character === "/") return String.raw`\\?/`;
  return character < " " ? String.raw`\\.` : literal(variants);
}
