import { applyMigrations } from "../migrate/migrate.ts";
import { migrations, quoteIdentifier } from "../migrate/migrations.ts";
import { withDatabase } from "./command.ts";

export const migrate = withDatabase(async (db, { schemaName, log, paint }) => {
  const applied: { version: number; name: string }[] = [];
  const version = await applyMigrations(db, schemaName, ({ version, name }) => {
    log(`${paint("yellow", "Applying")} ${name}`);
    applied.push({ version, name });
  });
  const since = applied.length > 0 ? "now" : "already";
  const state = paint("green", `${since} at version ${version}`);
  const newest =
    version > migrations.length
      ? `. This drizzle-chat-store knows the migrations up to version ${migrations.length}, ` +
        "and works with the newer ones."
      : ", the newest.";
  return {
    text: `Schema ${quoteIdentifier(schemaName)} is ${state}${newest}`,
    json: { schema: schemaName, version, applied },
    exitCode: 0,
  };
});
