import { inEachCase } from "./letter-cases.ts";

/**
 * A query as regular expressions for Postgres that know of upper and lower case by themselves: no collation and no setting changes
 * what is found. Those for the JSON text of parts find a little more than what counts: any text under a key "text".
 */
export interface SearchPattern {
  /** For a text as it is. */
  text: string;
  /** For JSON as `JSON.stringify` writes it. Finds all JSON that has a needless escape, too. */
  json: string;
  /** For JSON with needless escapes. Takes longer. */
  escapedJson: string;
}

/** The escape of a character that `JSON.stringify` writes as it is: not of a control character, nor of half a surrogate pair. */
export const needlessEscape = String.raw`\\u(?:[^0dD]|0[^0]|00[^01]|[dD](?:[0-7]|[89abAB]..\\u[dD][c-fC-F]))`;

/** Where the query may begin: after characters and escapes of a text, each of them whole. */
const inText = String.raw`"text"\s*:\s*"(?:[^"\\]|\\[^u]|\\u.{4})*`;

export function patternOf(query: string): SearchPattern {
  const characters = [...query].map(inEachCase);
  const each = (write: (cases: string[]) => string) => characters.map(write).join("");
  return {
    text: each(literal),
    json: `${inText}${each(inJson)}|${needlessEscape}`,
    escapedJson: `${inText}${each(inEscapedJson)}`,
  };
}

/** A backslash makes any character but letters and digits an ordinary one. */
function literal(cases: string[]): string {
  const [character = ""] = cases;
  if (cases.length > 1) return `[${cases.join("")}]`;
  return /[\0-\x7f]/.test(character) && !/[a-z\d]/i.test(character) ? `\\${character}` : character;
}

function inJson(cases: string[]): string {
  const [character = ""] = cases;
  if (character === '"' || character === "\\") return `\\\\\\${character}`;
  // Written with or without a backslash.
  if (character === "/") return String.raw`\\?/`;
  if (character >= " ") return literal(cases);
  // As `\n` or as `\u000a`, and most only in the second way.
  const [, letter] = JSON.stringify(character).match(/^"\\([a-t])"$/) ?? [];
  return letter ? `(?:\\\\${letter}|${inHexadecimal(character)})` : inHexadecimal(character);
}

const inEscapedJson = (cases: string[]): string => `(?:${[inJson(cases), ...cases.map(inHexadecimal)].join("|")})`;

/** As `\u…`, or as two of them. */
const inHexadecimal = (character: string): string =>
  character
    .split("")
    .map((unit) => unit.charCodeAt(0).toString(16).padStart(4, "0"))
    .map((digits) => `\\\\u${digits.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`)
    .join("");
