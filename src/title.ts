/**
 * The text as it can be a title: on one line, with characters that a Postgres text can hold, without NUL and unpaired
 * surrogates.
 */
export const toTitle = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
