import { dropIndexStatement } from "./invalid-indexes.ts";
import { type Migration, statementsIn } from "./migrations.ts";

/**
 * The statements that mend a missing index, column or constraint, or a changed index: those of the migration that made
 * it. Empty if it was made together with its table.
 */
export function mendingStatements(
  schemaName: string,
  applied: readonly Migration[],
  { kind, object }: { kind: "missing" | "changed" | "unexpected"; object: string },
): string[] {
  const [, type, table, name] = /^(index|column|constraint) (\w+)\.(\w+)$/.exec(object) ?? [];
  if (name === undefined || !(kind === "missing" || (kind === "changed" && type === "index"))) return [];
  const made =
    type === "index"
      ? new RegExp(`^CREATE INDEX (IF NOT EXISTS )?"${name}"`)
      : new RegExp(`^ALTER TABLE "\\w+"\\."${table}" ADD ${type} "${name}"`, "i");
  for (const migration of applied) {
    const statement = statementsIn(schemaName, migration)[migration.statements.findIndex((text) => made.test(text))];
    if (statement === undefined) continue;
    const create = statement.replace(/;?$/, ";");
    return kind === "changed" ? [`${dropIndexStatement(schemaName, name)};`, create] : [create];
  }
  return [];
}
