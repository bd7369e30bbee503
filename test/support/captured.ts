import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect } from "vitest";
import { countingProxy } from "./counting-proxy.ts";
import { createDatabase, type TestDatabase } from "./databases.ts";

export interface Statement {
  text: string;
  values: unknown[];
}

export interface CapturedDatabase extends TestDatabase {
  /** The statements that `work` sent, in order, with what it gave or threw, and the bytes they and their answers took on the wire. */
  capture(
    work: () => Promise<unknown>,
  ): Promise<{ statements: Statement[]; bytesSent: number; bytesReceived: number; outcome: unknown }>;
}

/** An empty Postgres database that is reached over one connection, on which every statement is recorded. */
export async function openCaptured(): Promise<CapturedDatabase> {
  const { url, drop } = await createDatabase();
  const proxy = await countingProxy(url);
  // Without a limit to idling: what a new connection sends and receives would be counted with a statement.
  const pool = new pg.Pool({ connectionString: proxy.url, max: 1, idleTimeoutMillis: 0 });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  const raw = new pg.Client(url);
  await raw.connect();

  let statements: Statement[] = [];
  const db = drizzle(pool, { logger: { logQuery: (text, values) => void statements.push({ text, values }) } });
  return {
    db,
    migrator: db,
    query: async (text, values) => (await raw.query(text, values)).rows,
    async capture(work) {
      statements = [];
      let outcome: unknown;
      const {
        statements: sent,
        bytesSent,
        bytesReceived,
      } = await proxy.count(async () => {
        outcome = await work().catch((error: unknown) => error);
      });
      // Drizzle tells of its own statements. The proxy sees the wire: nothing may pass by the record.
      expect(statements).toHaveLength(sent);
      return { statements, bytesSent, bytesReceived, outcome };
    },
    close: async () => {
      await Promise.all([pool.end(), raw.end()]);
      await proxy.close();
      await drop();
    },
  };
}
