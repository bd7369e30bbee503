import type { ChatDatabase } from "../types.ts";
import { connect } from "./connect.ts";
import { parseDatabaseUrl, UsageError } from "./database-url.ts";
import { nameOf, type Target } from "./target.ts";
import type { Paint } from "./terminal.ts";

export interface Settings {
  url: string | undefined;
  cwd: string;
  schemaName: string;
  fromVersion: number;
  rowLevelSecurity: boolean;
  citus: boolean;
  olderThanDays: number;
  dryRun: boolean;
  /** Prints progress, unless the output is JSON. */
  log(text: string): void;
  paint: Paint;
  /** Asks a question that can be answered with yes or no. Missing where there is no terminal, and after `--yes`. */
  confirm: ((question: string) => Promise<boolean>) | undefined;
}

export interface Result {
  /** For people. */
  text: string;
  /** For programs. */
  json: object;
  exitCode: 0 | 1 | 4;
}

export type Command = (settings: Settings) => Result | Promise<Result>;

/**
 * A command on a database, which it names first. It does so when the connection stands: a host and a database that exist
 * are no parts of a password that the URL has in the wrong place.
 */
export const withDatabase =
  (work: (db: ChatDatabase, settings: Settings, target: Target) => Promise<Result>): Command =>
  async (settings) => {
    const { url, cwd, log } = settings;
    if (!url?.trim()) throw new UsageError("No database is given. Set DATABASE_URL, or pass --url.");
    const { db, target, close } = await connect(parseDatabaseUrl(url), cwd);
    try {
      log(nameOf(target).replace("database", "Database"));
      const { json, ...result } = await work(db, settings, target);
      return { ...result, json: { database: target, ...json } };
    } finally {
      await close();
    }
  };
