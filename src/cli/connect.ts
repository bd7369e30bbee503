import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { sqlStateOf } from "../errors/sqlstate.ts";
import type { ChatDatabase } from "../types.ts";
import { targetOf } from "./database-url.ts";
import type { Target } from "./target.ts";

interface Connection {
  db: ChatDatabase;
  target: Target;
  close(): Promise<void>;
}

/** There is no driver, or connecting failed. The message repeats no part of the URL. */
export class ConnectError extends Error {
  readonly code: "NO_DRIVER" | "CONNECTION_FAILED";

  constructor(code: ConnectError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** In seconds. Postgres's own tools read the same parameter. */
const connectTimeout = (url: string) => Number(new URL(url).searchParams.get("connect_timeout")) || 10;

// drizzle-orm is loaded from the same place as the driver, because it imports the driver itself.
const drivers = [
  {
    modules: ["pg", "drizzle-orm/node-postgres"],
    open: async (require: NodeJS.Require, url: string): Promise<Connection> => {
      const pg: typeof import("pg") = require("pg");
      const { drizzle }: typeof import("drizzle-orm/node-postgres") = require("drizzle-orm/node-postgres");
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeout(url) * 1000 });
      // Without a listener, a broken connection would end the process. The query rejects, too.
      client.on("error", () => {});
      await client.connect();
      const { host, port, database } = client;
      return { db: drizzle(client), target: { name: database ?? "", host, port }, close: () => client.end() };
    },
  },
  {
    modules: ["postgres", "drizzle-orm/postgres-js"],
    open: async (require: NodeJS.Require, url: string): Promise<Connection> => {
      const postgres: typeof import("postgres") = require("postgres");
      const { drizzle }: typeof import("drizzle-orm/postgres-js") = require("drizzle-orm/postgres-js");
      const seconds = connectTimeout(url);
      const { host, port, user, password, database, others } = targetOf(url);
      // postgres.js would send unknown parameters of the URL as settings of the session, and would split a host at its
      // colons unless it is in a list.
      const options: Record<string, unknown> = {
        ...(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port || 5432}` } : host && { host: [host] }),
        ...((host || port) && { port: [Number(port || 5432)] }),
        ...(user && { user }),
        ...(password && { password }),
        ...(database && { database }),
        ...{ max: 1, connect_timeout: seconds, onnotice: () => {}, prepare: false },
      };
      const client = postgres(`postgres:///?${others}`, options);
      // The driver's own timeout is for one attempt, and it starts another one whenever the server hangs up.
      const timeout = setTimeout(seconds * 1000, undefined, { ref: false }).then(() => {
        throw new Error("timeout expired");
      });
      try {
        await Promise.race([client`select 1`, timeout]);
      } catch (error) {
        await client.end({ timeout: 0 });
        throw error;
      }
      const { database: name, path, ...resolved } = client.options;
      return {
        db: drizzle(client),
        target: { name, host: path ? dirname(path) : resolved.host.join(), port: resolved.port[0] ?? 5432 },
        close: () => client.end(),
      };
    },
  },
];

/** Connects with the application's own driver, `pg` or else `postgres`, resolved from the current folder. */
export async function connect(url: string, cwd: string): Promise<Connection> {
  // npx may run this package from npm's cache, without a driver. A driver may also be installed beside this package.
  const places = [createRequire(join(cwd, "package.json")), createRequire(import.meta.url)];
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
    "Found neither the driver pg nor postgres. The command uses the driver of your application, beside drizzle-orm: " +
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

/** The drivers' own messages repeat the host, the user and the database. */
function reasonOf(error: unknown): string {
  const code = sqlStateOf(error) ?? codeOf(error);
  const known: Record<string, string> = {
    ECONNREFUSED: "nothing listens at the host and port of the URL",
    ENOTFOUND: "the URL's host is unknown",
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
