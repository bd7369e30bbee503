import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { ChatStoreError, InvalidChatError } from "../errors/errors.ts";
import { parseInput } from "../errors/parse-input.ts";
import { sqlStateOf } from "../errors/sqlstate.ts";
import { migrateOptions } from "../input.ts";
import { defaultSchema } from "../schema.ts";
import { commands } from "./commands.ts";
import { ConnectError } from "./connect.ts";
import { UsageError } from "./database-url.ts";

const help = `Usage: npx drizzle-chat-store <command> [options]

Commands
  migrate   apply the pending migrations, in one transaction
  status    show the applied and pending migrations, and those newer than this package
  sql       print the SQL of the migrations; needs no database
  doctor    compare the tables with what this package expects; changes nothing
  purge     delete chats without activity for a given time, for all users

Options
  --url <url>       the database, as postgres://…  Default: the variable DATABASE_URL
  --schema <name>   the Postgres schema of the tables  Default: ${defaultSchema}
  --from <version>  for sql: the version the database is at  Default: 0, no tables yet
  --rls             for sql: print the policies for row-level security instead
  --citus           for sql: print the statements that distribute the tables on Citus
  --older-than <n>d for purge: days since the last activity, such as 365d
  --dry-run         for purge: only count, delete nothing
  --json            print one JSON document
  --version         print the version of this package
  --help            print this help

Exit codes
  0  done, or all is well
  1  status: a migration is pending, or newer and breaking; doctor: there are differences;
     purge: the database refused to delete some chats, and all others are deleted
  2  the command line is wrong
  3  it failed: no driver, no connection, or the database refused

It connects with the driver of your application, pg or postgres, as found from the
current folder. PGlite runs inside your application: call migrate(db) there.`;

/** Options of a single command, with that command. */
const commandOf = { from: "sql", rls: "sql", citus: "sql", "older-than": "purge", "dry-run": "purge" } as const;

type ExitCode = 0 | 1 | 2 | 3;

interface CommandLineIO {
  /** The value of DATABASE_URL. */
  databaseUrl: string | undefined;
  /** The folder from which the application's driver is found. */
  cwd: string;
  print(text: string): void;
  printError(text: string): void;
}

/** Runs one command and returns its exit code. */
export async function runCommandLine(
  args: string[],
  { databaseUrl, cwd, print, printError }: CommandLineIO,
): Promise<ExitCode> {
  const asJson = args.includes("--json");
  try {
    const { positionals, values } = parseArguments(args);
    if (values.help || values.version) {
      print(values.help ? help : packageVersion());
      return 0;
    }
    const command = findCommand(positionals);
    for (const [option, name] of Object.entries(commandOf) as [keyof typeof commandOf, string][]) {
      if (values[option] !== undefined && command !== commands[name]) {
        throw new UsageError(`--${option} is for the command ${name}.`);
      }
    }
    const [choice, other] = (["from", "rls", "citus"] as const).filter((option) => values[option] !== undefined);
    if (other) throw new UsageError(`--${choice} and --${other} exclude each other.`);
    const { text, json, ok } = await command({
      url: values.url ?? databaseUrl,
      cwd,
      schemaName: parseSchemaName(values.schema ?? defaultSchema),
      fromVersion: parseVersion(values.from ?? "0"),
      rowLevelSecurity: values.rls ?? false,
      citus: values.citus ?? false,
      olderThanDays: command === commands.purge ? parseDays(values["older-than"]) : 0,
      dryRun: values["dry-run"] ?? false,
      log: asJson ? () => {} : print,
    });
    print(asJson ? JSON.stringify(json, null, 2) : text);
    return ok ? 0 : 1;
  } catch (error) {
    const { code, message, exitCode } = explain(error);
    if (asJson) print(JSON.stringify({ error: { code, message } }, null, 2));
    else printError(message);
    return exitCode;
  }
}

function parseArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        url: { type: "string" },
        schema: { type: "string" },
        from: { type: "string" },
        rls: { type: "boolean" },
        citus: { type: "boolean" },
        "older-than": { type: "string" },
        "dry-run": { type: "boolean" },
        json: { type: "boolean" },
        version: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // An unknown option may be the database's URL with its password.
    if (message.startsWith("Unknown option")) {
      throw new UsageError(/^Unknown option '--?[\w-]+'/.exec(message)?.[0].concat(".") ?? "Unknown option.");
    }
    // Later sentences explain positionals that begin with a dash.
    throw new UsageError(message.replace(/(\.\s|\n).*$/s, "."));
  }
}

function findCommand([name, ...others]: string[]) {
  const names = Object.keys(commands).join(", ");
  if (name === undefined) throw new UsageError(`Expected a command: ${names}.`);
  if (others.length > 0) throw new UsageError(`Expected one command, found ${others.length + 1}.`);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  // Anything but a word may be the database's URL with its password.
  const found = /^[\w-]+$/.test(name) ? `command ${name}` : "such command";
  if (!command) throw new UsageError(`There is no ${found}. Expected one of: ${names}.`);
  return command;
}

function parseSchemaName(name: string): string {
  try {
    parseInput(migrateOptions, { schema: name });
  } catch (error) {
    throw InvalidChatError.isInstance(error) ? new UsageError(`--schema: ${error.issues[0]?.message}.`) : error;
  }
  return name;
}

function parseVersion(text: string): number {
  if (!/^\d+$/.test(text)) {
    throw new UsageError("--from is not a version. Expected a whole number, as status shows it.");
  }
  return Number(text);
}

/** Has no default, because deleted chats cannot be restored. */
function parseDays(text: string | undefined): number {
  const days = Number(/^(\d{1,5})d$/.exec(text ?? "")?.[1] ?? 0);
  if (days < 1) throw new UsageError("purge needs --older-than. Expected a number of days, at least 1d, such as 365d.");
  return days;
}

function explain(error: unknown): { code: string; message: string; exitCode: ExitCode } {
  if (error instanceof UsageError) {
    const message = `${withoutUrls(error.message)}\nFor help: npx drizzle-chat-store --help`;
    return { code: "USAGE", message, exitCode: 2 };
  }
  if (error instanceof ConnectError) return { code: error.code, message: withoutUrls(error.message), exitCode: 3 };
  const root = rootOf(error);
  const isOurs = ChatStoreError.isInstance(error);
  const sentences = [isOurs ? error.message : "The command failed."];
  if (root !== error || !isOurs) sentences.push(reasonOf(root));
  return { code: isOurs ? error.code : "QUERY_FAILED", message: withoutUrls(sentences.join("\n")), exitCode: 3 };
}

/** The driver's error. The message of Drizzle's error around it repeats the whole statement. */
function rootOf(error: unknown): unknown {
  for (;;) {
    const cause = ChatStoreError.isInstance(error) ? error.originalCause : error instanceof Error && error.cause;
    if (!cause) return error;
    error = cause;
  }
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const state = sqlStateOf(error);
  if (state) return `Postgres says: ${message} (${state})`;
  // Drivers and Node put host and port into the messages of errors that have a code.
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code ? `The connection failed (${code}).` : message;
}

// A second line of defence: no message should contain the database's URL with its password.
const withoutUrls = (message: string) => message.replaceAll(/\w+:\/\/\S*[^\s.]/g, "<url>");

function packageVersion(): string {
  // The package's name resolves both from the source and from the build.
  const { version }: { version: string } = createRequire(import.meta.url)("drizzle-chat-store/package.json");
  return version;
}
