import expectedCatalog from "../../migrations/catalog.json" with { type: "json" };
import type { ChatDatabase } from "../types.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { expectedDistribution, readDistribution } from "./citus.ts";
import { type AppliedMigration, expectedEncoding, inspect, newerThan } from "./ledger.ts";
import { type Migration, migrations, quoteIdentifier } from "./migrations.ts";

export interface Diagnosis {
  /** Where the tables or the ledger are not as this version of the package expects. */
  differences: Difference[];
  /** What newer migrations or others have added, which is no damage. */
  additions: { object: string; found: string }[];
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
      const { encoding, applied } = await inspect(tx, schemaName);
      const ledger = compareLedger(applied, known);
      const distribution = compareDistribution(await readDistribution(tx, schemaName));
      const tables = compareTables(await readCatalog(tx, schemaName));
      return {
        differences: [...compareEncoding(encoding), ...ledger.differences, ...tables.differences, ...distribution],
        additions: [...ledger.additions, ...tables.additions],
        ledger: applied !== null,
      };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

const compareEncoding = (found: string): Difference[] =>
  compare({ "database encoding": expectedEncoding }, { "database encoding": found }).map((difference) => ({
    ...difference,
    advice: "Not every text comes back as it was saved: move to a database of that encoding.",
  }));

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

function compareTables(found: Catalog): Comparison {
  // Of a table that is missing, so is all that belongs to it: one line says that.
  const isOfMissingTable = (object: string) => {
    const table = /^\w+ (\w+)\./.exec(object)?.[1];
    return table !== undefined && !(`table ${table}` in found);
  };
  const isRequiredColumn = (object: string, found: string) =>
    object.startsWith("column ") && found.endsWith(" not null");
  // Checked before a save has moved all that it moves: at once, or after one of its statements.
  const refusesMoves = (object: string, found: string) =>
    /^(constraint|index) messages\./.test(object) &&
    /^unique .*"order"/i.test(found) &&
    !found.endsWith("DEFERRABLE INITIALLY DEFERRED");

  const differences: Difference[] = [];
  const additions: Diagnosis["additions"] = [];
  for (const difference of compare(expectedCatalog, found)) {
    const { kind, object, found = "" } = difference;
    if (kind !== "unexpected") {
      if (!isOfMissingTable(object)) differences.push(difference);
    } else if (isRequiredColumn(object, found)) {
      const advice = "No save gives it a value, so every save fails: let it be null, or give it a default.";
      differences.push({ ...difference, advice });
    } else if (refusesMoves(object, found)) {
      const advice =
        "Saves that move or replace messages fail on it: make it a constraint that is deferrable initially deferred.";
      differences.push({ ...difference, advice });
    } else {
      additions.push({ object, found });
    }
  }
  return { differences, additions };
}

function compareLedger(applied: readonly AppliedMigration[] | null, known: readonly Migration[]): Comparison {
  if (!applied) return { differences: [], additions: [] };
  const compatible = newerThan(known, applied).filter(({ breaking }) => !breaking);
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
    const lines = additions.map(({ object, found }) => `  ${object}: ${found}`);
    paragraphs.push(["Added since, and accepted:", ...lines].join("\n"));
  }
  if (!ledger) {
    paragraphs.push("There is no ledger: nothing has been migrated, or your own migrations make the tables.");
  }
  return paragraphs.join("\n\n");
}
