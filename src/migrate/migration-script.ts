import { policies } from "../database/row-level-security.ts";
import { distributeStatements } from "./citus.ts";
import { dropInvalidStatements } from "./invalid-indexes.ts";
import { lockName, lockStatement, onlyBuildsIndexes, recordStatements } from "./ledger.ts";
import { migrations, quoteIdentifier, statementsIn } from "./migrations.ts";

/**
 * The SQL that brings a database from one version to the newest, as `migrate` would, for whoever runs it by other means:
 * in one transaction, and with the lines in the ledger by which `migrate` knows later that it is done.
 */
export function migrationScript(schemaName: string, fromVersion: number, known = migrations): string {
  const pending = known.slice(fromVersion);
  if (pending.length === 0) return `-- Nothing to do: version ${fromVersion} is the newest.`;
  const forReaders = pending.every(onlyBuildsIndexes);
  return [
    `-- drizzle-chat-store, from version ${fromVersion} to version ${known.length}.`,
    "begin;",
    "",
    "-- A migrate that starts meanwhile waits.",
    `select pg_advisory_xact_lock(hashtextextended('${lockName(schemaName).replaceAll("'", "''")}', 0));`,
    ...(fromVersion > 0
      ? [
          `\n-- ${forReaders ? "Saves wait" : "Saves and reads wait"} from here on.`,
          terminated(lockStatement(schemaName, known.slice(0, fromVersion), { forReaders })),
        ]
      : []),
    ...pending.flatMap((migration) => [
      `\n-- ${migration.name}`,
      // What a concurrent build that failed has left is not the index.
      ...(fromVersion > 0 ? dropInvalidStatements(schemaName, migration).map(terminated) : []),
      // Somebody may have created the schema beforehand, and migrate allows for that too.
      ...statementsIn(schemaName, migration).map((statement) =>
        terminated(statement.replace(/^CREATE SCHEMA /, "CREATE SCHEMA IF NOT EXISTS ")),
      ),
    ]),
    "\n-- The ledger, in which migrate looks up what is applied.",
    ...recordStatements(schemaName, pending).map(terminated),
    "",
    "commit;",
  ].join("\n");
}

/** The SQL that turns row-level security on, for the option `rowLevelSecurity` of the store. */
export function policyScript(schemaName: string): string {
  return [
    "-- drizzle-chat-store: every role but the tables' owner sees the chats of one user at a time.",
    "begin;",
    ...policies(quoteIdentifier(schemaName)).map(terminated),
    "commit;",
  ].join("\n");
}

/** The SQL that distributes the tables on the coordinator of a Citus cluster, by chat. */
export function distributionScript(schemaName: string): string {
  return [
    "-- drizzle-chat-store: all of a chat on one shard. What is distributed already stays as it is.",
    "begin;",
    ...distributeStatements(schemaName).map(terminated),
    "commit;",
  ].join("\n");
}

const terminated = (statement: string) => (statement.endsWith(";") ? statement : `${statement};`);
