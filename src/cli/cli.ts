#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";
import { confirm, paint } from "./terminal.ts";

// A reader such as `head` closes the pipe early.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// `process.exit` would cut off output that is still being written to a pipe.
process.exitCode = await runCommandLine(process.argv.slice(2), {
  databaseUrl: process.env.DATABASE_URL,
  cwd: process.cwd(),
  print: (text) => console.log(text),
  printError: (text) => console.error(text),
  paint,
  // A script cannot answer.
  confirm: process.stdin.isTTY && process.stdout.isTTY ? confirm : undefined,
});
