import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { ChatStoreError, InvalidChatError } from "../errors/errors.ts";
import { parseInput } from "../errors/parse-input.ts";
import { sqlStateOf } from "../errors/sqlstate.ts";
import { migrateOptions } from "../input.ts";
import { defaultSchema } from "../schema.ts";
import type { Command } from "./command.ts";
import { commandNames, commands, isCommand } from "./commands.ts";
import { ConnectError } from "./connect.ts";
import { UsageError } from "./database-url.ts";
import { generalHelp, helpOf } from "./help.ts";
import { type Option, options } from "./options.ts";
import { type Paint, plain } from "./terminal.ts";

type ExitCode = 0 | 1 | 2 | 3 | 4;

interface CommandLineIO {
  /** The value of DATABASE_URL. */
  databaseUrl: string | undefined;
  /** The folder from which the application's driver is found. */
  cwd: string;
  print(text: string): void;
  printError(text: string): void;
  /** Default: no colours. */
  paint?: Paint | undefined;
  /** Asks a question that can be answered with yes or no. Without it nothing is asked. */
  confirm?: ((question: string) => Promise<boolean>) | undefined;
}

/** Runs one command and returns its exit code. */
export async function runCommandLine(
  args: string[],
  { databaseUrl, cwd, print, printError, paint = plain, confirm }: CommandLineIO,
): Promise<ExitCode> {
  const asJson = args.includes("--json");
  try {
    const { positionals, values } = parseArguments(args);
    const [name, ...others] = positionals;
    if (values.help || name === "help") {
      print(helpFor(name === "help" ? others : positionals));
      return 0;
    }
    if (values.version) {
      print(packageVersion());
      return 0;
    }
    if (name === undefined) throw new UsageError(`Expected a command: ${commandNames.join(", ")}.`);
    if (others.length > 0) throw new UsageError(`Expected one command, found ${positionals.length}.`);
    if (!isCommand(name)) throw noSuchCommand(name);
    for (const [option, { only }] of Object.entries<Option>(options)) {
      if (only && only !== name && option in values) throw new UsageError(`--${option} is for the command ${only}.`);
    }
    const [choice, other] = (["from", "rls", "citus"] as const).filter((option) => values[option] !== undefined);
    if (other) throw new UsageError(`--${choice} and --${other} exclude each other.`);
    const command: Command = commands[name];
    const { text, json, exitCode } = await command({
      url: values.url ?? databaseUrl,
      cwd,
      schemaName: parseSchemaName(values.schema ?? defaultSchema),
      fromVersion: parseVersion(values.from ?? "0"),
      rowLevelSecurity: values.rls ?? false,
      citus: values.citus ?? false,
      olderThanDays: name === "purge" ? parseDays(values["older-than"]) : 0,
      dryRun: values["dry-run"] ?? false,
      log: asJson ? () => {} : print,
      paint,
      confirm: asJson || values.yes ? undefined : confirm,
    });
    print(asJson ? JSON.stringify(json, null, 2) : text);
    return exitCode;
  } catch (error) {
    const { code, message, exitCode } = explain(error);
    if (asJson) print(JSON.stringify({ error: { code, message } }, null, 2));
    else printError(message);
    return exitCode;
  }
}

function parseArguments(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options });
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

/** Help for the command that is named first. */
function helpFor([name]: string[]): string {
  if (name === undefined || name === "help") return generalHelp();
  if (!isCommand(name)) throw noSuchCommand(name);
  return helpOf(name);
}

function noSuchCommand(name: string): UsageError {
  // Anything but a word may be the database's URL with its password.
  const found = /^[\w-]+$/.test(name) ? `command ${name}` : "such command";
  const meant = [...commandNames, "help"].find((command) => isNear(name, command));
  const advice = meant ? `Did you mean ${meant}?` : `Expected one of: ${commandNames.join(", ")}.`;
  return new UsageError(`There is no ${found}. ${advice}`);
}

/** Whether adding, removing or replacing this many letters makes one word of the other. */
function isNear(a: string, b: string, edits = 2): boolean {
  if (edits < 0) return false;
  if (a === "" || b === "") return a.length + b.length <= edits;
  const [restOfA, restOfB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return isNear(restOfA, restOfB, edits);
  return [
    [restOfA, b],
    [a, restOfB],
    [restOfA, restOfB],
  ].some(([a = "", b = ""]) => isNear(a, b, edits - 1));
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
