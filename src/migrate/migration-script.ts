import { policies } from "../database/row-level-security.ts";
import { distributeStatements } from "./citus.ts";
import { dropInvalidStatements } from "./invalid-indexes.ts";
import { ledgerStatements, lockName, lockStatement, onlyBuildsIndexes } from "./ledger.ts";
import { migrations, quoteIdentifier, statementsIn } from "./migrations.ts";

/**
 * The SQL that brings a database from one version to the newest in one transaction, as `migrate` does, for people who
 * run it by other means. It also records the migrations in the ledger, so that a later `migrate` does not repeat them.
 */
export function migrationScript(schemaName: string, fromVersion: number, known = migrations): string {
  const pending = known.slice(fromVersion);
  if (pending.length === 0) return `-- Nothing to do: version ${fromVersion} is the newest.`;
  const allowReads = pending.every(onlyBuildsIndexes);
  return [
    `-- drizzle-chat-store, from version ${fromVersion} to version ${known.length}.`,
    "begin;",
    "",
    "-- A migrate that starts meanwhile waits.",
    `select pg_advisory_xact_lock(hashtextextended('${lockName(schemaName).replaceAll("'", "''")}', 0));`,
    ...(fromVersion > 0
      ? [
          `\n-- ${allowReads ? "Saves wait" : "Saves and reads wait"} from here on.`,
          terminated(lockStatement(schemaName, known.slice(0, fromVersion), { allowReads })),
        ]
      : []),
    ...pending.flatMap((migration) => [
      `\n-- ${migration.name}`,
      // A failed concurrent build leaves an invalid index of this name.
      ...(fromVersion > 0 ? dropInvalidStatements(schemaName, migration).map(terminated) : []),
      // The schema may exist already, as for `migrate`.
      ...statementsIn(schemaName, migration).map((statement) =>
        terminated(statement.replace(/^CREATE SCHEMA /, "CREATE SCHEMA IF NOT EXISTS ")),
      ),
    ]),
    "\n-- The ledger, in which migrate looks up what is applied.",
    ...ledgerStatements(schemaName, pending).map(terminated),
    "",
    "commit;",
  ].join("\n");
}

/** The SQL that turns on row-level security, for the store's option `rowLevelSecurity`. */
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
