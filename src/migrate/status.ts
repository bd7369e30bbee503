import type { ChatDatabase } from "../types.ts";
import { type AppliedMigration, inspect, newerThan, pendingAfter, requireLedger } from "./ledger.ts";
import { migrations, quoteIdentifier } from "./migrations.ts";

export interface Status {
  /** `unmanaged`: the tables are there without a ledger, so something else than `migrate` has made them. */
  state: "current" | "pending" | "newer" | "unmanaged";
  applied: AppliedMigration[];
  pending: { version: number; name: string; breaking: boolean }[];
  /** Applied by a newer version of this package, which this one does not know. It works on unless one of them is breaking. */
  newer: AppliedMigration[];
}

/** Which migrations a database has had, and which `migrate` would apply. */
export async function statusOf(db: ChatDatabase, schemaName: string, known = migrations): Promise<Status> {
  const installation = await inspect(db, schemaName);
  requireLedger(installation, schemaName);
  const { applied, tablesExist } = installation;
  if (!applied && tablesExist) return { state: "unmanaged", applied: [], pending: [], newer: [] };

  const newer = newerThan(known, applied ?? []);
  const pending = pendingAfter(known, applied ?? []);
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
  const summary = {
    current: `${schema} is up to date, at version ${known}.`,
    pending: `${schema} is at version ${applied.at(-1)?.version ?? 0}, and version ${known} is pending: run migrate.`,
    newer:
      `${schema} is at version ${newer.at(-1)?.version}, newer than version ${known}, the last one that this ` +
      `drizzle-chat-store knows, ${newer.some(({ breaking }) => breaking) ? "and breaking for it: update the package." : "and compatible with it."}`,
    unmanaged:
      `${schema} has the tables but no ledger, so they were not made by migrate. ` +
      "If your own migrations make them, all is well: doctor compares the tables.",
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
