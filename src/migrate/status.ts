import type { ChatDatabase } from "../types.ts";
import {
  type AppliedMigration,
  newerMigrations,
  pendingMigrations,
  readInstallation,
  requireLedgerColumns,
} from "./ledger.ts";
import { migrations, quoteIdentifier } from "./migrations.ts";

export interface Status {
  /** `unmanaged`: the tables exist without a ledger, so that `migrate` has not created them. */
  state: "current" | "pending" | "newer" | "unmanaged";
  applied: AppliedMigration[];
  pending: { version: number; name: string; breaking: boolean }[];
  /** Migrations of a newer version of this package. This one works with them unless one is breaking. */
  newer: AppliedMigration[];
}

/** Reads which migrations have been applied to a database, and which `migrate` would apply. */
export async function statusOf(db: ChatDatabase, schemaName: string, known = migrations): Promise<Status> {
  const installation = await readInstallation(db, schemaName);
  requireLedgerColumns(installation, schemaName);
  const { applied, tablesExist } = installation;
  if (!applied && tablesExist) return { state: "unmanaged", applied: [], pending: [], newer: [] };

  const newer = newerMigrations(known, applied ?? []);
  const pending = pendingMigrations(known, applied ?? []);
  return {
    state: pending.length > 0 ? "pending" : newer.length > 0 ? "newer" : "current",
    applied: applied?.filter((migration) => !newer.includes(migration)) ?? [],
    pending: pending.map(({ version, name, breaking }) => ({ version, name, breaking })),
    newer,
  };
}

export function describeStatus({ state, applied, pending, newer }: Status, schemaName: string): string {
  const schema = `Schema ${quoteIdentifier(schemaName)}`;
  const known = [...applied, ...pending].at(-1)?.version;
  const works = newer.some(({ breaking }) => breaking)
    ? "does not work with the newer ones: update the package."
    : "works with the newer ones.";
  const summary = {
    current: `${schema} is up to date, at version ${known}.`,
    pending: `${schema} is at version ${applied.at(-1)?.version ?? 0}, and version ${known} is pending: run migrate.`,
    newer:
      `${schema} is at version ${newer.at(-1)?.version}. ` +
      `This drizzle-chat-store knows the migrations up to version ${known}, and ${works}`,
    unmanaged:
      `${schema} has the tables but no ledger, so migrate did not create them. ` +
      "If your own migrations create them, all is well: doctor compares the tables.",
  }[state];
  const line = (
    label: string,
    { version, name, breaking, appliedAt }: Omit<AppliedMigration, "appliedAt"> & Partial<AppliedMigration>,
  ) =>
    [
      `  ${label.padEnd(8)} ${String(version).padStart(3)}`,
      name,
      ...(appliedAt ? [appliedAt.toISOString()] : []),
      ...(breaking ? ["breaking"] : []),
    ].join("  ");
  const lines = [
    ...applied.map((migration) => line("applied", migration)),
    ...pending.map((migration) => line("pending", migration)),
    ...newer.map((migration) => line("newer", migration)),
  ];
  return [summary, ...lines].join("\n");
}
