import type { Command } from "./command.ts";
import { doctor } from "./doctor.ts";
import { migrate } from "./migrate.ts";
import { purge } from "./purge.ts";
import { sql } from "./sql.ts";
import { status } from "./status.ts";

export const commands = { migrate, status, sql, doctor, purge } satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

export const commandNames = Object.keys(commands) as CommandName[];

export const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);
