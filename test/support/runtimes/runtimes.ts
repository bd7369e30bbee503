/** What the program finds out about errors: whether they can be told apart. */
export interface Recognised {
  withoutTables: string;
  /** Whether it can be retried. */
  lostRace: boolean;
  /** Likewise. Of a database in the same process this cannot be asked. */
  unreachable?: boolean;
}

interface Driver {
  name: string;
  program: URL;
  recognised: Recognised;
}

export interface Runtime {
  name: string;
  /** As the table names it, and as the runtime's own `--version` begins after its name. */
  version: string;
  /** What npm installs. */
  package: string;
  /** The binary, in the package for this machine that npm installs with it. */
  binary: { scope: string; file: string };
  drivers: Driver[];
}

const all: Recognised = { withoutTables: "NOT_MIGRATED", lostRace: true, unreachable: true };
const nodePostgres = {
  name: "node-postgres",
  program: new URL("programs/node-postgres.ts", import.meta.url),
  recognised: all,
};
const postgresJs = {
  name: "postgres.js",
  program: new URL("programs/postgres-js.ts", import.meta.url),
  recognised: all,
};
const pglite = {
  name: "PGlite",
  program: new URL("programs/pglite.ts", import.meta.url),
  recognised: { withoutTables: "NOT_MIGRATED", lostRace: true },
};

export const bun: Runtime = {
  name: "Bun",
  version: "1.4",
  package: "bun@1.4.5",
  binary: { scope: "@oven", file: "bin/bun" },
  drivers: [
    nodePostgres,
    postgresJs,
    pglite,
    { name: "bun-sql", program: new URL("programs/bun-sql.ts", import.meta.url), recognised: all },
  ],
};

export const deno: Runtime = {
  name: "Deno",
  version: "2.9",
  package: "deno@2.9.6",
  binary: { scope: "@deno", file: "deno" },
  drivers: [nodePostgres, postgresJs, pglite],
};

export const workerd: Runtime = {
  name: "workerd (Cloudflare Workers)",
  version: "2026-11-17",
  package: "workerd@1.20261117.1",
  binary: { scope: "@cloudflare", file: "bin/workerd" },
  drivers: [{ name: "postgres.js", program: new URL("programs/worker.ts", import.meta.url), recognised: all }],
};

export const runtimes = [bun, deno, workerd];
