import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { sqlStateOf } from "../errors/sqlstate.ts";
import type { ChatDatabase } from "../types.ts";
import { targetOf } from "./database-url.ts";

interface Connection {
  db: ChatDatabase;
  close(): Promise<void>;
}

/** No driver could be found, or no connection be made. The message names no part of the URL. */
export class ConnectError extends Error {
  readonly code: "NO_DRIVER" | "CONNECTION_FAILED";

  constructor(code: ConnectError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** In seconds, by the name that Postgres's own tools have for it in a URL. */
const connectTimeout = (url: string) => Number(new URL(url).searchParams.get("connect_timeout")) || 10;

// Drizzle's part comes from beside the driver, which it imports itself.
const drivers = [
  {
    modules: ["pg", "drizzle-orm/node-postgres"],
    open: async (require: NodeJS.Require, url: string): Promise<Connection> => {
      const pg: typeof import("pg") = require("pg");
      const { drizzle }: typeof import("drizzle-orm/node-postgres") = require("drizzle-orm/node-postgres");
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeout(url) * 1000 });
      // A connection that breaks off is also reported here, and would end the process: the query rejects anyway.
      client.on("error", () => {});
      await client.connect();
      return { db: drizzle(client), close: () => client.end() };
    },
  },
  {
    modules: ["postgres", "drizzle-orm/postgres-js"],
    open: async (require: NodeJS.Require, url: string): Promise<Connection> => {
      const postgres: typeof import("postgres") = require("postgres");
      const { drizzle }: typeof import("drizzle-orm/postgres-js") = require("drizzle-orm/postgres-js");
      const seconds = connectTimeout(url);
      const { host, port, user, password, database, others } = targetOf(url);
      // It would take what it does not know in the URL for settings of the session. A host in a list it does not split at its colons.
      const options: Record<string, unknown> = {
        ...(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port || 5432}` } : host && { host: [host] }),
        ...((host || port) && { port: [Number(port || 5432)] }),
        ...(user && { user }),
        ...(password && { password }),
        ...(database && { database }),
        ...{ max: 1, connect_timeout: seconds, onnotice: () => {}, prepare: false },
      };
      const client = postgres(`postgres:///?${others}`, options);
      // Its own timeout is for one attempt, and it begins another whenever the server hangs up.
      const timeout = setTimeout(seconds * 1000, undefined, { ref: false }).then(() => {
        throw new Error("timeout expired");
      });
      try {
        await Promise.race([client`select 1`, timeout]);
      } catch (error) {
        await client.end({ timeout: 0 });
        throw error;
      }
      return { db: drizzle(client), close: () => client.end() };
    },
  },
];

/** Connects with the application's own driver: `pg`, or else `postgres`, as seen from a folder of the application. */
export async function connect(url: string, folder: string): Promise<Connection> {
  // With npx this package may lie in a folder of npm's, where there is no driver. Installed elsewhere, one may be here.
  const places = [createRequire(join(folder, "package.json")), createRequire(import.meta.url)];
  for (const require of places) {
    const driver = drivers.find(({ modules }) => modules.every((module) => canResolve(require, module)));
    if (!driver) continue;
    try {
      return await driver.open(require, url);
    } catch (error) {
      throw new ConnectError("CONNECTION_FAILED", `Could not connect to the database: ${reasonOf(error)}.`);
    }
  }
  throw new ConnectError(
    "NO_DRIVER",
    "Found neither of the drivers pg and postgres. The command uses your application's own, beside drizzle-orm: " +
      "run it in the application's folder, or install one there (npm install pg).",
  );
}

function canResolve(require: NodeJS.Require, module: string): boolean {
  try {
    require.resolve(module);
    return true;
  } catch {
    return false;
  }
}

/** In words of our own: drivers repeat the host, the user and the database. */
function reasonOf(error: unknown): string {
  const code = sqlStateOf(error) ?? codeOf(error);
  const known: Record<string, string> = {
    ECONNREFUSED: "nothing listens at the host and port of the URL",
    ENOTFOUND: "the URL's host is not known",
    EAI_AGAIN: "the URL's host could not be looked up",
    ETIMEDOUT: "the URL's host did not answer",
    ENOENT: "there is no socket at the host of the URL",
    EACCES: "this user may not use the socket at the host of the URL",
    CONNECT_TIMEOUT: "timeout expired",
    "28P01": "the user or the password is wrong",
    "28000": "the server does not let this user in from here",
    "3D000": "there is no such database on the server",
    "53300": "the server has no connection left to give",
    "57P03": "the server is starting up or shutting down",
  };
  if (code) return known[code] ? `${known[code]} (${code})` : `error ${code}`;
  return error instanceof Error ? error.message : "for an unknown reason";
}

const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
