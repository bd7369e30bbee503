import { describeDiagnosis, diagnose } from "../migrate/doctor.ts";
import { applyMigrations } from "../migrate/migrate.ts";
import { distributionScript, migrationScript, policyScript } from "../migrate/migration-script.ts";
import { migrations, quoteIdentifier } from "../migrate/migrations.ts";
import { describeStatus, statusOf } from "../migrate/status.ts";
import type { ChatDatabase } from "../types.ts";
import { connect } from "./connect.ts";
import { parseDatabaseUrl, UsageError } from "./database-url.ts";
import { pluralize } from "./pluralize.ts";
import { describePurge, purge } from "./purge.ts";

interface Settings {
  url: string | undefined;
  cwd: string;
  schemaName: string;
  fromVersion: number;
  rowLevelSecurity: boolean;
  citus: boolean;
  olderThanDays: number;
  dryRun: boolean;
  /** Prints progress, unless the output is JSON. */
  log(text: string): void;
}

interface Result {
  /** For people. */
  text: string;
  /** For programs. */
  json: object;
  /** Whether the exit code is 0. */
  ok: boolean;
}

export const commands: Record<string, (settings: Settings) => Result | Promise<Result>> = {
  async migrate({ schemaName, log, ...settings }) {
    const applied: { version: number; name: string }[] = [];
    const version = await withDatabase(settings, (db) =>
      applyMigrations(db, schemaName, ({ version, name }) => {
        log(`Applying ${name}`);
        applied.push({ version, name });
      }),
    );
    const since = applied.length > 0 ? "now" : "already";
    const newest =
      version > migrations.length
        ? `. This drizzle-chat-store knows the migrations up to version ${migrations.length}, ` +
          "and works with the newer ones."
        : ", the newest.";
    return {
      text: `Schema ${quoteIdentifier(schemaName)} is ${since} at version ${version}${newest}`,
      json: { schema: schemaName, version, applied },
      ok: true,
    };
  },

  async status({ schemaName, ...settings }) {
    const status = await withDatabase(settings, (db) => statusOf(db, schemaName));
    return {
      text: describeStatus(status, schemaName),
      json: { schema: schemaName, ...status },
      ok: status.state !== "pending" && !status.newer.some(({ breaking }) => breaking),
    };
  },

  sql({ schemaName, fromVersion, rowLevelSecurity, citus }) {
    if (rowLevelSecurity || citus) {
      const text = rowLevelSecurity ? policyScript(schemaName) : distributionScript(schemaName);
      return { text, json: { schema: schemaName, sql: text }, ok: true };
    }
    if (fromVersion > migrations.length) {
      throw new UsageError(`There is no version ${fromVersion}: the newest is ${migrations.length}.`);
    }
    const text = migrationScript(schemaName, fromVersion);
    return { text, json: { schema: schemaName, from: fromVersion, to: migrations.length, sql: text }, ok: true };
  },

  async doctor({ schemaName, ...settings }) {
    const diagnosis = await withDatabase(settings, (db) => diagnose(db, schemaName));
    const ok = diagnosis.differences.length === 0;
    return {
      text: describeDiagnosis(diagnosis, schemaName),
      json: { schema: schemaName, healthy: ok, ...diagnosis },
      ok,
    };
  },

  async purge({ schemaName, olderThanDays, dryRun, log, ...settings }) {
    const purged = await withDatabase(settings, (db) =>
      purge(db, schemaName, { olderThanDays, dryRun }, ({ chats }) => log(`So far: ${pluralize(chats, "chat")}`)),
    );
    return {
      text: describePurge(purged, dryRun),
      json: { schema: schemaName, dryRun, ...purged },
      ok: purged.refused.length === 0,
    };
  },
};

async function withDatabase<T>(
  { url, cwd }: Pick<Settings, "url" | "cwd">,
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  if (!url?.trim()) throw new UsageError("No database is given. Set DATABASE_URL, or pass --url.");
  const { db, close } = await connect(parseDatabaseUrl(url), cwd);
  try {
    return await work(db);
  } finally {
    await close();
  }
}
