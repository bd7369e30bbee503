import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Debian's packages. The shell has no windows to open: a new user takes it a fifth of the time. */
const installed = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];

/** Starts Chromium: the program that `CHROMIUM` names, or else an installed one. */
export const launchChromium = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || (installed.find(existsSync) ?? "chromium"),
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    timeout: 60_000,
  });
