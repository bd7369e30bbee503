import type { ChatDatabase } from "../types.ts";
import { type AppliedMigration, inspect } from "./ledger.ts";
import { migrations, quoteIdentifier } from "./migrations.ts";

export interface Status {
  /** `unmanaged`: the tables are there without a ledger, so something else than `migrate` has made them. */
  state: "current" | "pending" | "newer" | "unmanaged";
  applied: AppliedMigration[];
  pending: { version: number; name: string }[];
  /** Applied by a newer version of this package, which this one does not know. */
  newer: AppliedMigration[];
}

/** Which migrations a database has had, and which `migrate` would apply. */
export async function statusOf(db: ChatDatabase, schemaName: string): Promise<Status> {
  const { applied, tablesExist } = await inspect(db, schemaName);
  if (!applied && tablesExist) return { state: "unmanaged", applied: [], pending: [], newer: [] };

  const version = applied?.at(-1)?.version ?? 0;
  const isKnown = (migration: AppliedMigration) => migration.version <= migrations.length;
  return {
    state: version > migrations.length ? "newer" : version < migrations.length ? "pending" : "current",
    applied: applied?.filter(isKnown) ?? [],
    pending: migrations.slice(version).map(({ version, name }) => ({ version, name })),
    newer: applied?.filter((migration) => !isKnown(migration)) ?? [],
  };
}

export function describeStatus({ state, applied, pending, newer }: Status, schemaName: string): string {
  const schema = `Schema ${quoteIdentifier(schemaName)}`;
  const summary = {
    current: `${schema} is up to date, at version ${migrations.length}.`,
    pending: `${schema} is at version ${applied.at(-1)?.version ?? 0}, and version ${migrations.length} is pending: run migrate.`,
    newer:
      `${schema} is at version ${newer.at(-1)?.version}, newer than version ${migrations.length}, the last one that this ` +
      "drizzle-chat-store knows: update the package.",
    unmanaged:
      `${schema} has the tables but no ledger, so they were not made by migrate. ` +
      "If your own migrations make them, all is well: doctor compares the tables.",
  }[state];
  const line = (label: string, { version, name, appliedAt }: { version: number; name: string; appliedAt?: Date }) =>
    `  ${label.padEnd(8)} ${String(version).padStart(3)}  ${name}${appliedAt ? `  ${appliedAt.toISOString()}` : ""}`;
  const lines = [
    ...applied.map((migration) => line("applied", migration)),
    ...pending.map((migration) => line("pending", migration)),
    ...newer.map((migration) => line("newer", migration)),
  ];
  return [summary, ...lines].join("\n");
}
