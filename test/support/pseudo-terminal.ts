import { execFileSync, spawn } from "node:child_process";
import { expect } from "vitest";

/** Whether there is `script` of util-linux, which every Debian has. The one of macOS takes other arguments. */
export const hasPseudoTerminal = (() => {
  try {
    return execFileSync("script", ["--version"], { encoding: "utf8", stdio: "pipe" }).includes("util-linux");
  } catch {
    return false;
  }
})();

/** Runs a command on a terminal of its own. At a question, types the answer, or ends the input. */
export async function runOnTerminal(
  command: string,
  { env = {}, answer }: { env?: NodeJS.ProcessEnv; answer?: string | null } = {},
): Promise<{ exitCode: number | null; shown: string }> {
  const { NO_COLOR, FORCE_COLOR, CI, ...inherited } = process.env;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...inherited, TERM: "xterm-256color", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (shown += text));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  if (answer !== undefined) {
    await expect.poll(() => shown).toContain("[y/N] ");
    if (answer === null) child.stdin.end();
    else child.stdin.write(answer);
  }
  const exitCode = await exited;
  // Without line ends and cursor movements of the terminal.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with one.
  return { exitCode, shown: shown.replaceAll(/\u001b\[\d*[GJ]|\r/g, "") };
}
