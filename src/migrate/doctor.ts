import expectedCatalog from "../../migrations/catalog.json" with { type: "json" };
import type { ChatDatabase } from "../types.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { expectedDistribution, readDistribution } from "./citus.ts";
import {
  type AppliedMigration,
  expectedEncoding,
  expectedLedger,
  newerMigrations,
  readInstallation,
} from "./ledger.ts";
import { type Limit, readLimits } from "./limits.ts";
import { mendingStatements } from "./mending-statements.ts";
import { type Migration, migrations } from "./migrations.ts";
import { countOrphans, type Orphans } from "./orphans.ts";

export interface Diagnosis {
  /** Where the tables or the ledger differ from what this version of the package expects. */
  differences: Difference[];
  /** Accepted objects that newer migrations or the application have added. With a remark if saves may fail on one. */
  additions: { object: string; found: string; remark?: string }[];
  /** Whether there is a ledger. False if the application's own migrations create the tables. */
  ledger: boolean;
}

interface Difference {
  kind: "missing" | "changed" | "unexpected";
  /** Such as `column messages.digest`, `migration 1` or `database encoding`. */
  object: string;
  expected?: string;
  found?: string;
  advice?: string;
  /** The SQL that mends it, as the migration has it that made the object. */
  statements?: string[];
}

/** Compares the tables with what this version of the package expects. Changes nothing. */
export async function diagnose(db: ChatDatabase, schemaName: string, known = migrations): Promise<Diagnosis> {
  return db.transaction(
    async (tx) => {
      const { encoding, replicationRole, applied, missingColumns } = await readInstallation(tx, schemaName);
      const found = await readCatalog(tx, schemaName);
      const distribution = compareDistribution(await readDistribution(tx, schemaName));
      // Citus can only join rows of several tables if all rows of a chat are on one shard.
      const orphans = distribution.length === 0 ? await countOrphans(tx, schemaName, found) : [];
      const findings = [
        compareSettings({ "database encoding": encoding, "setting session_replication_role": replicationRole }),
        compareLedger(missingColumns.length === 0 ? applied : null, known),
        applied ? compareTables(expectedLedger, await readCatalog(tx, schemaName, ["migrations"])) : noFindings,
        compareTables(expectedCatalog, found, await readLimits(tx, schemaName)),
        { differences: [...distribution, ...orphans.map(toDifference)], additions: [] },
      ];
      // Before a pending migration, or beside the application's own, they would make what a migration is going to make.
      const isApplied = ({ version }: Migration) => applied?.some((migration) => migration.version === version);
      const made = known.filter(isApplied);
      return {
        differences: findings
          .flatMap(({ differences }) => differences)
          .map((difference) => {
            const statements = mendingStatements(schemaName, made, difference);
            return statements.length > 0 ? { ...difference, statements } : difference;
          }),
        additions: findings.flatMap(({ additions }) => additions),
        ledger: applied !== null,
      };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

const adviceOnSettings: Record<string, string> = {
  "database encoding": "This encoding cannot hold every text: move to a database with the expected encoding.",
  "setting session_replication_role":
    "It switches foreign keys off, so that deleting a chat keeps its messages: " +
    "reset it for this role and this database.",
};

const compareSettings = (found: Catalog): Findings => ({
  differences: compare(
    { "database encoding": expectedEncoding, "setting session_replication_role": "origin" },
    found,
  ).map((difference) => ({ ...difference, advice: adviceOnSettings[difference.object] ?? "" })),
  additions: [],
});

const toDifference = ({ table, parent, count, remedy }: Orphans): Difference => ({
  kind: "unexpected",
  object: `rows of ${table}`,
  found: `${count} whose row in ${parent} is gone`,
  advice:
    "They were kept while a foreign key was missing or switched off, " +
    `and ${table === parent ? "no call reaches them" : "would appear in the next chat with the same id"}: ${remedy}`,
});

function compareDistribution(found: Record<string, string> | null): Difference[] {
  if (!found) return [];
  const asCatalog = (distribution: Record<string, string>): Catalog =>
    Object.fromEntries(Object.entries(distribution).map(([table, how]) => [`distribution of ${table}`, how]));
  const expected = Object.entries(expectedDistribution).filter(([table]) => table in found);
  return compare(asCatalog(Object.fromEntries(expected)), asCatalog(found)).map((difference) => ({
    ...difference,
    advice:
      difference.found === "local"
        ? "Deleting a chat keeps its rows: run the statements that `npx drizzle-chat-store sql --citus` prints."
        : "All rows of a chat must be on one shard: call undistribute_table, then run what " +
          "`npx drizzle-chat-store sql --citus` prints.",
  }));
}

type Findings = Pick<Diagnosis, "differences" | "additions">;

const noFindings: Findings = { differences: [], additions: [] };

function compareTables(expected: Catalog, found: Catalog, limits: readonly Limit[] = []): Findings {
  // Everything that belongs to a missing table is missing, too. One difference reports that.
  const isOfMissingTable = (object: string) => {
    const table = /^\w+ (\w+)\./.exec(object)?.[1];
    return table !== undefined && !(`table ${table}` in found);
  };
  const differences: Difference[] = [];
  const additions: Diagnosis["additions"] = [];
  for (const difference of compare(expected, found)) {
    const { kind, object, found = "" } = difference;
    const limit = limits.find((limit) => limit.object === object);
    if (kind !== "unexpected") {
      const advice = adviceOnDamage(object, found);
      if (!isOfMissingTable(object)) differences.push(advice === undefined ? difference : { ...difference, advice });
      continue;
    }
    const advice = adviceOnAddition(object, found, limit);
    if (advice !== undefined) differences.push({ ...difference, advice });
    else if (limit && !alwaysHolds(limit, found))
      additions.push({ object, found, remark: "saves that violate it fail" });
    else additions.push({ object, found });
  }
  return { differences, additions };
}

function adviceOnDamage(object: string, found: string): string | undefined {
  const [, table = ""] = /^\w+ (\w+)\./.exec(object) ?? [];
  if (found.endsWith("(switched off)")) {
    return (
      "Deleting a chat keeps its messages, turns and branches: run `alter table … enable trigger all` " +
      `for ${table} and the table that it refers to.`
    );
  }
  if (object.startsWith("index ") && found.endsWith("(invalid)")) {
    return "Postgres does not use it, as after a failed concurrent build: drop it and create it again.";
  }
  if (object.startsWith("column migrations.") && found === "") {
    return "Without it migrate and status fail: add it again.";
  }
  return undefined;
}

/** Why saves fail on an object that the application has added, if they do. */
function adviceOnAddition(object: string, found: string, limit: Limit | undefined): string | undefined {
  if (object.startsWith("column ") && found.endsWith(" not null")) {
    return "The store gives it no value, so every save fails: make it nullable, or give it a default.";
  }
  if (object.startsWith("rule ") && !found.endsWith("(switched off)")) {
    return "A rule makes statements of the store fail, or changes what they do: drop it, and use a trigger.";
  }
  if (object.startsWith("child table ")) {
    return "The store sees its rows as the table's, but no key covers them: run `alter table … no inherit …`.";
  }
  if (!limit || !refusesSaves(limit) || alwaysHolds(limit, found)) return undefined;
  return limit.keys.includes("order")
    ? "Saves that move or replace messages fail on it: make it a constraint that is `deferrable initially deferred`."
    : "Some saves fail on it, such as a fork or a second chat: drop it, or add a column of your own to it.";

  function refusesSaves({ kind, table, columns }: Limit): boolean {
    // The application decides about the values of its own columns.
    const areOurs = columns.every((column) => `column ${table}.${column}` in expectedCatalog);
    return areOurs && (kind === "unique" || kind === "exclusion");
  }
}

/**
 * Whether no save can violate the limit: it contains the primary key, or it is checked only at the end of a save, when
 * all orders are distinct again.
 */
function alwaysHolds({ kind, table, keys }: Limit, found: string): boolean {
  if (kind !== "unique") return false;
  const has = (columns: readonly string[]) => columns.every((column) => keys.includes(column));
  const isDeferredOrder =
    table === "messages" && found.endsWith("DEFERRABLE INITIALLY DEFERRED") && has(["chat_id", "order"]);
  return isDeferredOrder || has(primaryKeys[table] ?? [""]);
}

const primaryKeys: Record<string, string[]> = {
  chats: ["id"],
  messages: ["chat_id", "id"],
  turns: ["chat_id", "id"],
  turn_chunks: ["chat_id", "turn_id", "seq"],
  branches: ["chat_id", "id"],
};

function compareLedger(applied: readonly AppliedMigration[] | null, known: readonly Migration[]): Findings {
  if (!applied) return noFindings;
  const compatible = newerMigrations(known, applied).filter(({ breaking }) => !breaking);
  const asCatalog = (list: readonly { version: number; name: string }[]): Catalog =>
    Object.fromEntries(list.map(({ version, name }) => [`migration ${version}`, name]));
  const advice = {
    missing: { advice: "It is pending: run migrate." },
    unexpected: { advice: "It is breaking, and newer than this version of the package: update the package." },
    changed: {},
  };
  const found = asCatalog(applied.filter((migration) => !compatible.includes(migration)));
  return {
    differences: compare(asCatalog(known), found).map((difference) => ({ ...difference, ...advice[difference.kind] })),
    additions: compatible.map(({ version, name }) => ({ object: `migration ${version}`, found: name })),
  };
}

function compare(expected: Catalog, found: Catalog): Difference[] {
  const objects = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
  return objects.flatMap((object): Difference[] => {
    const [wanted, actual] = [expected[object], found[object]];
    if (wanted === actual) return [];
    if (actual === undefined) return [{ kind: "missing", object, expected: wanted ?? "" }];
    if (wanted === undefined) return [{ kind: "unexpected", object, found: actual }];
    return [{ kind: "changed", object, expected: wanted, found: actual }];
  });
}
