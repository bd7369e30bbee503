// Projects: none. Long: thorough.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrate } from "../../src/index.ts";
import { createDatabase } from "../support/databases.ts";
import { type Entry, endsIn, entries, notCarried, shapes, tooDeep } from "../support/hostile-bodies.ts";
import type { Outcome } from "../support/saving-process.ts";

const program = fileURLToPath(new URL("../support/saving-process.ts", import.meta.url));

/** Sends all bodies through one entry, in a process that has no more memory than a small server, and not all the time in the world. */
async function outcomesOf(entry: Entry, url: string): Promise<Outcome[]> {
  const child = fork(program, [url, entry], {
    execArgv: ["--import", "tsx", "--max-old-space-size=512"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    timeout: 540_000,
  });
  const outcomes: Outcome[] = [];
  let last: unknown;
  let written = "";
  child.stderr?.on("data", (data) => {
    written += data;
  });
  child.on("message", (message: Outcome | Pick<Outcome, "shape" | "end">) => {
    if ("code" in message) outcomes.push(message);
    else last = message;
  });
  const [code, signal] = await once(child, "close");
  if (code !== 0) {
    throw new Error(`ended with ${code ?? signal} at ${JSON.stringify(last)}: ${written.slice(-2_000)}`);
  }
  return outcomes;
}

describe("Hostile bodies of a megabyte", () => {
  let url: string;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    ({ url, drop } = await createDatabase());
    const pool = new pg.Pool({ connectionString: url });
    await migrate(drizzle(pool));
    await pool.end();
  });
  afterAll(() => drop());

  // Each has a process of its own.
  test.concurrent.each(Object.keys(entries) as Entry[])(
    "the store takes or refuses each body as %s, and the process goes on",
    async (entry) => {
      const outcomes = await outcomesOf(entry, url);

      const bodies = Object.keys(shapes).flatMap((shape) => endsIn(entry).map((end) => `${shape}, then ${end}`));
      expect(new Set(outcomes.map(({ shape, end }) => `${shape}, then ${end}`))).toEqual(new Set(bodies));
      const isRight = ({ shape, end, code }: Outcome) => {
        if (!entries[entry].isContent || tooDeep.includes(shape)) return code === "done" || code === refused;
        return code === (notCarried.includes(end) ? refused : "done");
      };
      expect(outcomes.filter((outcome) => !isRight(outcome))).toEqual([]);
      // At most twenty or so things that are wrong, each said in a few words.
      expect(Math.max(...outcomes.map(({ length }) => length))).toBeLessThan(10_000);
    },
  );
});

const refused = "INVALID_CHAT";
