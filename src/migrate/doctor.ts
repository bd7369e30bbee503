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
import { type Migration, migrations, quoteIdentifier } from "./migrations.ts";
import { countOrphans, type Orphans } from "./orphans.ts";

export interface Diagnosis {
  /** Where the tables or the ledger are not as this version of the package expects. */
  differences: Difference[];
  /** What newer migrations or others have added, which is no damage. With a remark if saves may fail on it. */
  additions: { object: string; found: string; remark?: string }[];
  /** False when the tables were not made by `migrate`. */
  ledger: boolean;
}

interface Difference {
  kind: "missing" | "changed" | "unexpected";
  /** Such as `column messages.digest`, `migration 1` or `database encoding`. */
  object: string;
  expected?: string;
  found?: string;
  advice?: string;
}

/** Compares what is in the database with what this version of the package expects. Changes nothing. */
export async function diagnose(db: ChatDatabase, schemaName: string, known = migrations): Promise<Diagnosis> {
  return db.transaction(
    async (tx) => {
      const { encoding, replicationRole, applied, missingColumns } = await readInstallation(tx, schemaName);
      const found = await readCatalog(tx, schemaName);
      const distribution = compareDistribution(await readDistribution(tx, schemaName));
      // Rows on several shards can be compared only if those of a chat are on one.
      const orphans = distribution.length === 0 ? await countOrphans(tx, schemaName, found) : [];
      const comparisons = [
        compareSettings({ "database encoding": encoding, "setting session_replication_role": replicationRole }),
        compareLedger(missingColumns.length === 0 ? applied : null, known),
        applied ? compareTables(expectedLedger, await readCatalog(tx, schemaName, ["migrations"])) : nothing,
        compareTables(expectedCatalog, found, await readLimits(tx, schemaName)),
        { differences: [...distribution, ...orphans.map(differenceOf)], additions: [] },
      ];
      return {
        differences: comparisons.flatMap(({ differences }) => differences),
        additions: comparisons.flatMap(({ additions }) => additions),
        ledger: applied !== null,
      };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

const adviceOnSettings: Record<string, string> = {
  "database encoding": "Not every text comes back as it was saved: move to a database of that encoding.",
  "setting session_replication_role":
    "Foreign keys are switched off, so that messages outlive their chats: reset it for this role and this database.",
};

const compareSettings = (found: Catalog): Comparison => ({
  differences: compare(
    { "database encoding": expectedEncoding, "setting session_replication_role": "origin" },
    found,
  ).map((difference) => ({ ...difference, advice: adviceOnSettings[difference.object] ?? "" })),
  additions: [],
});

const differenceOf = ({ table, parent, count, remedy }: Orphans): Difference => ({
  kind: "unexpected",
  object: `rows of ${table}`,
  found: `${count} that belong to nothing in ${parent}`,
  advice: `They have outlived it while a foreign key was missing or switched off, and who next takes the id would get them: ${remedy}`,
});

function compareDistribution(found: Record<string, string> | null): Difference[] {
  if (!found) return [];
  const asCatalog = (distribution: Record<string, string>): Catalog =>
    Object.fromEntries(Object.entries(distribution).map(([table, how]) => [`distribution of ${table}`, how]));
  const ofThose = Object.entries(expectedDistribution).filter(([table]) => table in found);
  return compare(asCatalog(Object.fromEntries(ofThose)), asCatalog(found)).map((difference) => ({
    ...difference,
    advice:
      difference.found === "local"
        ? "Its rows outlive their chats: distribute it by what `npx drizzle-chat-store sql --citus` prints."
        : "All of a chat has to be on one shard: undistribute_table, then what `npx drizzle-chat-store sql --citus` prints.",
  }));
}

type Comparison = Pick<Diagnosis, "differences" | "additions">;

const nothing: Comparison = { differences: [], additions: [] };

function compareTables(expected: Catalog, found: Catalog, limits: readonly Limit[] = []): Comparison {
  // Of a table that is missing, so is all that belongs to it: one line says that.
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
    else if (limit && !canOnlyBeMet(limit, found))
      additions.push({ object, found, remark: "saves that violate it fail" });
    else additions.push({ object, found });
  }
  return { differences, additions };
}

function adviceOnDamage(object: string, found: string): string | undefined {
  const [, table = ""] = /^\w+ (\w+)\./.exec(object) ?? [];
  if (found.endsWith("(switched off)")) {
    return `Messages and turns outlive their chats: \`alter table … enable trigger all\` for ${table} and the table that it refers to.`;
  }
  if (object.startsWith("index ") && found.endsWith("(invalid)")) {
    return "It is never used, as after a concurrent build that failed: drop it, and create it again.";
  }
  if (object.startsWith("column migrations.") && found === "")
    return "Without it migrate and status refuse: add it again.";
  return undefined;
}

/** Why saves fail on what was added, if they do. */
function adviceOnAddition(object: string, found: string, limit: Limit | undefined): string | undefined {
  if (object.startsWith("column ") && found.endsWith(" not null")) {
    return "No save gives it a value, so every save fails: let it be null, or give it a default.";
  }
  if (object.startsWith("rule ") && !found.endsWith("(switched off)")) {
    return "With it statements of the store are refused, or do something else than they report: drop it, and use a trigger.";
  }
  if (object.startsWith("child table ")) {
    return "Its rows count as the table's, and no key holds for them: `alter table … no inherit …`.";
  }
  if (!limit || !refusesSaves(limit) || canOnlyBeMet(limit, found)) return undefined;
  return limit.keys.includes("order")
    ? "Saves that move or replace messages fail on it: make it a constraint that is deferrable initially deferred."
    : "Saves fail on it, such as those of a fork or of a second chat: drop it, or add a column of your own to it.";

  function refusesSaves({ kind, table, columns }: Limit): boolean {
    // Of an application's own column only the application knows the values.
    const areOurs = columns.every((column) => `column ${table}.${column}` in expectedCatalog);
    return areOurs && (kind === "unique" || kind === "exclusion");
  }
}

/** Whether it refuses no row that the primary key lets in, or looks only at the end of a save, which leaves messages in order. */
function canOnlyBeMet({ kind, table, keys }: Limit, found: string): boolean {
  if (kind !== "unique") return false;
  const has = (columns: readonly string[]) => columns.every((column) => keys.includes(column));
  const inOrder = table === "messages" && found.endsWith("DEFERRABLE INITIALLY DEFERRED") && has(["chat_id", "order"]);
  return inOrder || has(primaryKeys[table] ?? [""]);
}

const primaryKeys: Record<string, string[]> = {
  chats: ["id"],
  messages: ["chat_id", "id"],
  turns: ["chat_id", "id"],
  turn_chunks: ["chat_id", "turn_id", "seq"],
};

function compareLedger(applied: readonly AppliedMigration[] | null, known: readonly Migration[]): Comparison {
  if (!applied) return { differences: [], additions: [] };
  const compatible = newerMigrations(known, applied).filter(({ breaking }) => !breaking);
  const asCatalog = (list: readonly { version: number; name: string }[]): Catalog =>
    Object.fromEntries(list.map(({ version, name }) => [`migration ${version}`, name]));
  const advice = {
    missing: { advice: "It is pending: run migrate." },
    unexpected: { advice: "It is breaking, and this version of the package does not know it: update the package." },
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

export function describeDiagnosis({ differences, additions, ledger }: Diagnosis, schemaName: string): string {
  const schema = `Schema ${quoteIdentifier(schemaName)}`;
  const paragraphs = [
    differences.length === 0
      ? `${schema} is as this version of drizzle-chat-store expects it.`
      : `${schema} has ${differences.length === 1 ? "1 difference" : `${differences.length} differences`} ` +
        "from what this version of drizzle-chat-store expects.",
    ...differences.map(({ kind, object, expected, found, advice }) =>
      [
        `${kind.padEnd(10)}  ${object}`,
        ...(expected === undefined ? [] : [`  expected  ${expected}`]),
        ...(found === undefined ? [] : [`  found     ${found}`]),
        ...(advice === undefined ? [] : [`  ${advice}`]),
      ].join("\n"),
    ),
  ];
  if (additions.length > 0) {
    const lines = additions.map(
      ({ object, found, remark }) => `  ${object}: ${found}${remark === undefined ? "" : ` (${remark})`}`,
    );
    paragraphs.push(["Added since, and accepted:", ...lines].join("\n"));
  }
  if (!ledger) {
    paragraphs.push("There is no ledger: nothing has been migrated, or your own migrations make the tables.");
  }
  return paragraphs.join("\n\n");
}
