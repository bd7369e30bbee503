import { distributionScript, migrationScript, policyScript } from "../migrate/migration-script.ts";
import { migrations } from "../migrate/migrations.ts";
import type { Result, Settings } from "./command.ts";
import { UsageError } from "./database-url.ts";

export function sql({ schemaName, fromVersion, rowLevelSecurity, citus }: Settings): Result {
  if (rowLevelSecurity || citus) {
    const text = rowLevelSecurity ? policyScript(schemaName) : distributionScript(schemaName);
    return { text, json: { schema: schemaName, sql: text }, exitCode: 0 };
  }
  if (fromVersion > migrations.length) {
    throw new UsageError(`There is no version ${fromVersion}: the newest is ${migrations.length}.`);
  }
  const text = migrationScript(schemaName, fromVersion);
  return { text, json: { schema: schemaName, from: fromVersion, to: migrations.length, sql: text }, exitCode: 0 };
}
