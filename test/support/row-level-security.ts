import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { inject } from "vitest";
import { type ChatDatabase, type ChatStoreOptions, createChatStore, migrate } from "../../src/index.ts";
import { policyScript } from "../../src/migrate/migration-script.ts";
import { isOnCitus, isUsual, nodePostgres, openWith, postgresJs, type TestDatabase } from "./databases.ts";
import { isLong } from "./long-run.ts";
import { blocksOf } from "./pages.ts";

/** The grants of docs/row-level-security.md, of this version or of the package in a folder. */
export const grantsTo = (role: string, folder = ".") => {
  const [grants] = blocksOf(join(folder, "docs/row-level-security.md")).filter(({ language }) => language === "sql");
  return grants?.text.replaceAll(" to application", ` to ${role}`) ?? "";
};

/** Tables that have been migrated by their owner and given the policies; opened as a role that does not own them. */
export async function openUnderPolicies(
  connect: typeof nodePostgres | typeof postgresJs,
  { policies = policyScript("chat_store"), grants = (role: string) => grantsTo(role) } = {},
): Promise<TestDatabase & { role: string }> {
  const role = `application_${randomUUID().replaceAll("-", "")}`;
  let ownersUrl = "";
  const database = await openWith((url) => {
    ownersUrl = url;
    // Connects when it is first used, by when there is such a role.
    return connect(`${url}?options=${encodeURIComponent(`-c role=${role}`)}`);
  });

  const owner = new pg.Client(ownersUrl);
  await owner.connect();
  await migrate(drizzle({ client: owner }));
  await owner.query(policies);
  await owner.query(`create role ${role}`);
  await owner.query(grants(role));
  await owner.end();

  const close = async () => {
    await database.close();
    const admin = new pg.Client(inject("postgresUrl"));
    await admin.connect();
    await admin.query(`drop role ${role}`).finally(() => admin.end());
  };
  return { ...database, close, role };
}

const storeOn = (db: ChatDatabase, options?: ChatStoreOptions) =>
  createChatStore(db, { ...options, rowLevelSecurity: true });
const portableStoreOn = (db: ChatDatabase, options?: ChatStoreOptions) =>
  createChatStore(db, { ...options, rowLevelSecurity: true, portable: true });

const kinds = [
  { name: "node-postgres", open: () => openUnderPolicies(nodePostgres), mode: "under row-level security", storeOn },
  { name: "postgres.js", open: () => openUnderPolicies(postgresJs), mode: "under row-level security", storeOn },
  {
    name: "node-postgres",
    open: () => openUnderPolicies(nodePostgres),
    mode: "under row-level security, portable",
    storeOn: portableStoreOn,
  },
].map((kind) => ({ ...kind, transactions: true }));

/** Not on Citus, which refuses the policies. */
export const underRowLevelSecurity = isOnCitus
  ? []
  : isLong
    ? kinds
    : isUsual
      ? kinds.filter(({ name }) => name === "node-postgres")
      : [];
