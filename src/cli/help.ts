import { type CommandName, commandNames } from "./commands.ts";
import { type Option, options } from "./options.ts";

const about: Record<CommandName, { summary: string; details: string; example: string }> = {
  migrate: {
    summary: "apply the pending migrations, in one transaction",
    details: "Run it with every deployment, from as many places as you like: one of them applies what is pending.",
    example: "npx drizzle-chat-store migrate",
  },
  status: {
    summary: "show the applied and pending migrations, and those newer than this package",
    details: "Exit code 1: a migration is pending, or newer and breaking.",
    example: "npx drizzle-chat-store status --json",
  },
  sql: {
    summary: "print the SQL of the migrations; needs no database",
    details: "For review, and for databases that you migrate by other means.",
    example: 'npx drizzle-chat-store sql --from 1 | psql "$DATABASE_URL"',
  },
  doctor: {
    summary: "compare the tables with what this package expects; changes nothing",
    details: "Prints the SQL that mends an index, a column or a constraint.\nExit code 1: there are differences.",
    example: "npx drizzle-chat-store doctor --schema chat_store",
  },
  purge: {
    summary: "delete chats without activity for a given time, for all users",
    details: `On a terminal it counts them first, and asks.
Exit code 1: the database refused to delete some chats, and all others are deleted.
Exit code 4: you did not answer with yes, and nothing was deleted.`,
    example: "npx drizzle-chat-store purge --older-than 365d --dry-run",
  },
};

export const generalHelp = () => `Usage: npx drizzle-chat-store <command> [options]

Commands
${inColumns([
  ...commandNames.map((name): [string, string] => [name, about[name].summary]),
  ["help", "explain a command, as in: help purge"],
])}

Options
${inColumns(Object.values<Option>(options).map(({ usage, help, only }) => [usage, only ? `for ${only}: ${help}` : help]))}

Exit codes
  0  done, or all is well
  1  status: a migration is pending, or newer and breaking; doctor: there are differences;
     purge: the database refused to delete some chats, and all others are deleted
  2  the command line is wrong
  3  it failed: no driver, no connection, or the database refused
  4  purge: you did not answer with yes, and nothing was deleted

It connects with the driver of your application, pg or postgres, as found from the
current folder. PGlite runs inside your application: call migrate(db) there.`;

export function helpOf(command: CommandName): string {
  const { summary, details, example } = about[command];
  const taken = Object.values<Option>(options).filter(({ only = command }) => only === command);
  return `Usage: npx drizzle-chat-store ${command} [options]

${summary.charAt(0).toUpperCase()}${summary.slice(1)}.
${details}

Options
${inColumns(taken.map(({ usage, help }) => [usage, help]))}

Example
  ${example}`;
}

function inColumns(rows: [left: string, right: string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}
