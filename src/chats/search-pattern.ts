import { allCases } from "./letter-cases.ts";

/**
 * A query as regular expressions for Postgres. They list upper and lower case themselves, so that collations and
 * settings do not change the matches. The patterns for the JSON of parts match a little more than text parts: any
 * string under a key "text".
 */
export interface SearchPattern {
  /** For plain text. */
  text: string;
  /** For JSON that `JSON.stringify` has written. Also matches all JSON that has a needless escape. */
  json: string;
  /** For JSON with needless escapes. Slower. */
  escapedJson: string;
}

/** An escape that `JSON.stringify` would not write: of anything but a control character or a lone surrogate. */
export const needlessEscape = String.raw`\\u(?:[^0dD]|0[^0]|00[^01]|[dD](?:[0-7]|[89abAB]..\\u[dD][c-fC-F]))`;

/** The JSON before a match: a key "text", and any number of whole characters and escapes of its string. */
const inText = String.raw`"text"\s*:\s*"(?:[^"\\]|\\[^u]|\\u.{4})*`;

export function patternOf(query: string): SearchPattern {
  const characters = [...query].map(allCases);
  const mapJoin = (toPattern: (cases: string[]) => string) => characters.map(toPattern).join("");
  return {
    text: mapJoin(literal),
    json: `${inText}${mapJoin(inJson)}|${needlessEscape}`,
    escapedJson: `${inText}${mapJoin(inEscapedJson)}`,
  };
}

/** A backslash before a letter or digit would have a meaning. Before any other character it removes the meaning. */
function literal(cases: string[]): string {
  const [character = ""] = cases;
  if (cases.length > 1) return `[${cases.join("")}]`;
  return /[\0-\x7f]/.test(character) && !/[a-z\d]/i.test(character) ? `\\${character}` : character;
}

function inJson(cases: string[]): string {
  const [character = ""] = cases;
  if (character === '"' || character === "\\") return `\\\\\\${character}`;
  // JSON may escape a slash.
  if (character === "/") return String.raw`\\?/`;
  if (character >= " ") return literal(cases);
  // A control character is `\u000a`, and some also have a short form, such as `\n`.
  const [, letter] = JSON.stringify(character).match(/^"\\([a-t])"$/) ?? [];
  return letter ? `(?:\\\\${letter}|${inHexadecimal(character)})` : inHexadecimal(character);
}

const inEscapedJson = (cases: string[]): string => `(?:${[inJson(cases), ...cases.map(inHexadecimal)].join("|")})`;

/** One `\u…`, or two for a surrogate pair. */
const inHexadecimal = (character: string): string =>
  character
    .split("")
    .map((unit) => unit.charCodeAt(0).toString(16).padStart(4, "0"))
    .map((digits) => `\\\\u${digits.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`)
    .join("");
