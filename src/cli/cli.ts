#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";

// The reader may have had enough, as `head` has.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// Not `process.exit`, which would cut off what is still being printed to a pipe.
process.exitCode = await runCommandLine(process.argv.slice(2), {
  databaseUrl: process.env.DATABASE_URL,
  folder: process.cwd(),
  print: (text) => console.log(text),
  printError: (text) => console.error(text),
});
