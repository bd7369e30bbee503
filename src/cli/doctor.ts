import { type Diagnosis, diagnose } from "../migrate/doctor.ts";
import { quoteIdentifier, tableNames } from "../migrate/migrations.ts";
import { withDatabase } from "./command.ts";
import { pluralize } from "./pluralize.ts";
import { type Paint, plain } from "./terminal.ts";

export const doctor = withDatabase(async (db, { schemaName, paint }) => {
  const diagnosis = await diagnose(db, schemaName);
  const healthy = diagnosis.differences.length === 0;
  return {
    text: describeDiagnosis(diagnosis, schemaName, paint),
    json: { schema: schemaName, healthy, ...diagnosis },
    exitCode: healthy ? 0 : 1,
  };
});

export function describeDiagnosis(
  { differences, additions, ledger }: Diagnosis,
  schemaName: string,
  paint: Paint = plain,
): string {
  const schema = `Schema ${quoteIdentifier(schemaName)}`;
  const isMissingTable = (name: string) =>
    differences.some(({ kind, object }) => kind === "missing" && object === `table ${name}`);
  const isEmpty = !ledger && tableNames.every(isMissingTable);
  // Before the first migrate, one sentence says what a missing table would say four times.
  const shown = isEmpty ? differences.filter(({ object }) => !object.startsWith("table ")) : differences;
  const count = paint("red", pluralize(shown.length, "difference"));
  const paragraphs = [
    ...(isEmpty
      ? [
          `${paint("red", "Nothing has been migrated")} in schema ${quoteIdentifier(schemaName)} yet: ` +
            "run migrate, unless your own migrations create the tables.",
        ]
      : []),
    ...(shown.length > 0 ? [`${schema} has ${count} from what this version of drizzle-chat-store expects.`] : []),
    ...(differences.length === 0
      ? [`${schema} is ${paint("green", "as this version of drizzle-chat-store expects it")}.`]
      : []),
    ...shown.map(({ kind, object, expected, found, advice, statements = [] }) =>
      [
        `${paint(kind === "missing" ? "red" : "yellow", kind.padEnd(10))}  ${object}`,
        ...(expected === undefined ? [] : [`  expected  ${expected}`]),
        ...(found === undefined ? [] : [`  found     ${found}`]),
        ...(advice === undefined ? [] : [`  ${advice}`]),
        ...statements.map((statement) => `  run       ${statement}`),
      ].join("\n"),
    ),
  ];
  if (additions.length > 0) {
    const lines = additions.map(
      ({ object, found, remark }) => `  ${object}: ${found}${remark === undefined ? "" : ` (${remark})`}`,
    );
    paragraphs.push(["Added since, and accepted:", ...lines].join("\n"));
  }
  if (!ledger && !isEmpty) {
    paragraphs.push("There is no ledger: run migrate, unless your own migrations create the tables.");
  }
  return paragraphs.join("\n\n");
}
