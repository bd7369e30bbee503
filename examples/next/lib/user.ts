import { createHash } from "node:crypto";
import { cookies } from "next/headers";

// In place of your own login. Every browser is a user of its own: its cookie is the secret, and the id is its hash.

export const cookieName = "user";

export const isSecret = (value: string | undefined) => value !== undefined && /^[\w-]{43}$/.test(value);

/** Undefined if the browser has opened no page yet: proxy.ts makes a user of each that does. */
export async function currentUserId(): Promise<string | undefined> {
  const secret = (await cookies()).get(cookieName)?.value;
  return secret && isSecret(secret) ? createHash("sha256").update(secret).digest("base64url") : undefined;
}
