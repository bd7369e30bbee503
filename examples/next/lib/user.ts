import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { cookies } from "next/headers";

// Stands in for your own login: every browser is a user of its own, known by a signed random id.

export const userCookie = "user";

/** The user of the current request. Undefined if the browser has opened no page yet: proxy.ts makes a user for each page. */
export async function currentUserId(): Promise<string | undefined> {
  return userIdOf((await cookies()).get(userCookie)?.value);
}

export function newUserCookie(): string {
  const userId = randomUUID();
  return `${userId}.${signatureOf(userId)}`;
}

/** Undefined if the cookie was not signed here. */
export function userIdOf(cookie = ""): string | undefined {
  const [userId = "", signature = ""] = cookie.split(".");
  const [given, expected] = [Buffer.from(signature), Buffer.from(signatureOf(userId))];
  return given.length === expected.length && timingSafeEqual(given, expected) ? userId : undefined;
}

function signatureOf(userId: string): string {
  return createHmac("sha256", secret()).update(userId).digest("base64url");
}

function secret(): string {
  if (process.env.SESSION_SECRET) return process.env.SESSION_SECRET;
  const file = resolve(process.env.DATA_DIR || ".data", "session-secret");
  try {
    mkdirSync(dirname(file), { recursive: true });
    // "wx" fails if the file is there: the secret is made once, and stays the same after a restart.
    writeFileSync(file, randomBytes(32).toString("base64url"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFileSync(file, "utf8");
}
