import { sqlShaped } from "./hostile.ts";

/** Texts for ids and queries, also such as no id may be. */
export const hostileTexts = [
  ...sqlShaped,
  "",
  ".",
  "..",
  "\0",
  "a\0b",
  "\ud800",
  "x".repeat(255),
  "x".repeat(256),
  "/",
  "a/b",
  "%2F",
];

/** Encoded for any place of a URL. What a URL cannot carry becomes what browsers make of it. */
export const everywhereInUrl = (text: string) => encodeURIComponent(text.toWellFormed());
