import { defaultSchema } from "../schema.ts";
import type { CommandName } from "./commands.ts";

/** For `parseArgs`, with their help. */
export const options = {
  url: {
    type: "string",
    usage: "--url <url>",
    help: "the database, as postgres://…  Default: the variable DATABASE_URL",
  },
  schema: {
    type: "string",
    usage: "--schema <name>",
    help: `the Postgres schema of the tables  Default: ${defaultSchema}`,
  },
  from: {
    type: "string",
    usage: "--from <version>",
    help: "the version the database is at  Default: 0, no tables yet",
    only: "sql",
  },
  rls: { type: "boolean", usage: "--rls", help: "print the policies for row-level security instead", only: "sql" },
  citus: {
    type: "boolean",
    usage: "--citus",
    help: "print the statements that distribute the tables on Citus",
    only: "sql",
  },
  "older-than": {
    type: "string",
    usage: "--older-than <n>d",
    help: "days since the last activity, such as 365d",
    only: "purge",
  },
  "dry-run": { type: "boolean", usage: "--dry-run", help: "only count, delete nothing", only: "purge" },
  yes: { type: "boolean", usage: "--yes", help: "delete without asking", only: "purge" },
  json: { type: "boolean", usage: "--json", help: "print one JSON document, and ask nothing" },
  version: { type: "boolean", short: "v", usage: "-v, --version", help: "print the version of this package" },
  help: { type: "boolean", short: "h", usage: "-h, --help", help: "print this help, or the help of a command" },
} as const satisfies Record<string, Option>;

export interface Option {
  type: "string" | "boolean";
  short?: string;
  usage: string;
  help: string;
  /** The one command that takes it. */
  only?: CommandName;
}
