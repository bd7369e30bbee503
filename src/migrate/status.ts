import type { ChatDatabase } from "../types.ts";
import {
  type AppliedMigration,
  newerMigrations,
  pendingMigrations,
  readInstallation,
  requireLedgerColumns,
} from "./ledger.ts";
import { migrations } from "./migrations.ts";

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
