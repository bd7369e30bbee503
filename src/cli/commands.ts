import { describeDiagnosis, diagnose } from "../migrate/doctor.ts";
import { applyMigrations } from "../migrate/migrate.ts";
import { distributionScript, migrationScript, policyScript } from "../migrate/migration-script.ts";
import { migrations, quoteIdentifier } from "../migrate/migrations.ts";
import { describeStatus, statusOf } from "../migrate/status.ts";
import type { ChatDatabase } from "../types.ts";
import { connect } from "./connect.ts";
import { counted } from "./counted.ts";
import { databaseUrl, UsageError } from "./database-url.ts";
import { describePurge, purge } from "./purge.ts";

interface Settings {
  url: string | undefined;
  folder: string;
  schemaName: string;
  fromVersion: number;
  rowLevelSecurity: boolean;
  citus: boolean;
  olderThanDays: number;
  dryRun: boolean;
  /** Tells a person what is being done. */
  say(text: string): void;
}

/** What a command has to say: to people, and to programs. */
interface Answer {
  text: string;
  json: object;
  isFine: boolean;
}

export const commands: Record<string, (settings: Settings) => Answer | Promise<Answer>> = {
  async migrate({ schemaName, say, ...settings }) {
    const applied: { version: number; name: string }[] = [];
    const version = await withDatabase(settings, (db) =>
      applyMigrations(db, schemaName, ({ version, name }) => {
        say(`Applying ${name}`);
        applied.push({ version, name });
      }),
    );
    const since = applied.length > 0 ? "now" : "already";
    const newest =
      version > migrations.length
        ? `. This drizzle-chat-store knows the migrations up to version ${migrations.length}, and works with the newer ones.`
        : ", the newest.";
    return {
      text: `Schema ${quoteIdentifier(schemaName)} is ${since} at version ${version}${newest}`,
      json: { schema: schemaName, version, applied },
      isFine: true,
    };
  },

  async status({ schemaName, ...settings }) {
    const status = await withDatabase(settings, (db) => statusOf(db, schemaName));
    return {
      text: describeStatus(status, schemaName),
      json: { schema: schemaName, ...status },
      isFine: status.state !== "pending" && !status.newer.some(({ breaking }) => breaking),
    };
  },

  sql({ schemaName, fromVersion, rowLevelSecurity, citus }) {
    if (rowLevelSecurity || citus) {
      const text = rowLevelSecurity ? policyScript(schemaName) : distributionScript(schemaName);
      return { text, json: { schema: schemaName, sql: text }, isFine: true };
    }
    if (fromVersion > migrations.length) {
      throw new UsageError(`There is no version ${fromVersion}: the newest is ${migrations.length}.`);
    }
    const text = migrationScript(schemaName, fromVersion);
    return { text, json: { schema: schemaName, from: fromVersion, to: migrations.length, sql: text }, isFine: true };
  },

  async doctor({ schemaName, ...settings }) {
    const diagnosis = await withDatabase(settings, (db) => diagnose(db, schemaName));
    const isFine = diagnosis.differences.length === 0;
    return {
      text: describeDiagnosis(diagnosis, schemaName),
      json: { schema: schemaName, healthy: isFine, ...diagnosis },
      isFine,
    };
  },

  async purge({ schemaName, olderThanDays, dryRun, say, ...settings }) {
    const purged = await withDatabase(settings, (db) =>
      purge(db, schemaName, { olderThanDays, dryRun }, ({ chats }) => say(`So far: ${counted(chats, "chat")}`)),
    );
    return {
      text: describePurge(purged, dryRun),
      json: { schema: schemaName, dryRun, ...purged },
      isFine: purged.refused.length === 0,
    };
  },
};

async function withDatabase<Result>(
  { url, folder }: Pick<Settings, "url" | "folder">,
  work: (db: ChatDatabase) => Promise<Result>,
): Promise<Result> {
  if (!url?.trim()) throw new UsageError("No database is given. Set DATABASE_URL, or pass --url.");
  const { db, close } = await connect(databaseUrl(url), folder);
  try {
    return await work(db);
  } finally {
    await close();
  }
}
