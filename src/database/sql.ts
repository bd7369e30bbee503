import { sql as drizzleSql, type SQL } from "drizzle-orm";

/**
 * Drizzle's `sql` for statements that are laid out to be read: it removes `--` comments, line breaks and indentation,
 * because an unnamed statement is sent and parsed with every call. Do not use it for string literals that contain `--`
 * or a line break.
 */
export const sql = Object.assign(
  (strings: TemplateStringsArray, ...values: unknown[]): SQL =>
    drizzleSql(compact(strings) as unknown as TemplateStringsArray, ...values),
  {
    raw: drizzleSql.raw,
    join: drizzleSql.join,
    identifier: drizzleSql.identifier,
    placeholder: drizzleSql.placeholder,
  },
);

/** Each template is compacted once: the same array comes with every call. */
const compacted = new WeakMap<TemplateStringsArray, string[]>();

function compact(strings: TemplateStringsArray): string[] {
  const known = compacted.get(strings);
  if (known) return known;
  const texts = strings.map((text, index) => {
    const oneLine = text
      .replace(/\s*--.*$/gm, "")
      .replace(/\s*\n\s*(?=\))/g, "")
      .replace(/([(,]?)\s*\n\s*/g, (_, before) => before || " ");
    const withoutStart = index === 0 && /^\s*\n/.test(text) ? oneLine.trimStart() : oneLine;
    return index === strings.length - 1 && /\n\s*$/.test(text) ? withoutStart.trimEnd() : withoutStart;
  });
  compacted.set(strings, texts);
  return texts;
}
