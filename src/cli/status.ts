import type { AppliedMigration } from "../migrate/ledger.ts";
import { quoteIdentifier } from "../migrate/migrations.ts";
import { type Status, statusOf } from "../migrate/status.ts";
import { withDatabase } from "./command.ts";
import { pluralize } from "./pluralize.ts";
import { type Paint, toMinute } from "./terminal.ts";

export const status = withDatabase(async (db, { schemaName, paint }) => {
  const status = await statusOf(db, schemaName);
  const isBehind = status.state === "pending" || status.newer.some(({ breaking }) => breaking);
  return {
    text: describeStatus(status, schemaName, paint),
    json: { schema: schemaName, ...status },
    exitCode: isBehind ? 1 : 0,
  };
});

function describeStatus({ state, applied, pending, newer }: Status, schemaName: string, paint: Paint): string {
  const schema = `Schema ${quoteIdentifier(schemaName)}`;
  const known = [...applied, ...pending].at(-1)?.version;
  const isOrAre = `${pluralize(pending.length, "migration")} ${pending.length === 1 ? "is" : "are"} pending`;
  const works = newer.some(({ breaking }) => breaking)
    ? "does not work with the newer ones: update the package."
    : "works with the newer ones.";
  const summary = {
    current: `${schema} is ${paint("green", "up to date")}, at version ${known}.`,
    pending:
      (applied.length > 0
        ? `${schema} is at version ${applied.at(-1)?.version}, and `
        : `Nothing has been migrated in schema ${quoteIdentifier(schemaName)} yet: `) +
      `${paint("yellow", isOrAre)}. Run migrate.`,
    newer:
      `${schema} is at version ${newer.at(-1)?.version}. ` +
      `This drizzle-chat-store knows the migrations up to version ${known}, and ${works}`,
    unmanaged:
      `${schema} has the tables but no ledger, so migrate did not create them. ` +
      "If your own migrations create them, all is well: doctor compares the tables.",
  }[state];
  const rows = [...applied, ...pending, ...newer];
  const width = Math.max(...rows.map(({ name }) => name.length));
  const line = (state: string, version: string, name: string, ...others: string[]) =>
    ["", state, version.padStart(7), name.padEnd(width), ...others].join("  ").trimEnd();
  const lines = (label: string, colour: "green" | "yellow", migrations: readonly Listed[]) =>
    migrations.map(({ version, name, breaking, appliedAt }) =>
      line(
        paint(colour, label.padEnd(7)),
        String(version),
        name,
        appliedAt ? toMinute(appliedAt) : "",
        breaking ? paint("red", "breaking") : "",
      ),
    );
  return [
    summary,
    ...(rows.length > 0 ? [line("state  ", "version", "name", applied.length > 0 ? "applied at (UTC)" : "")] : []),
    ...lines("applied", "green", applied),
    ...lines("pending", "yellow", pending),
    ...lines("newer", "yellow", newer),
  ].join("\n");
}

type Listed = Omit<AppliedMigration, "appliedAt"> & Partial<AppliedMigration>;
