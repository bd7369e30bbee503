import { randomBytes } from "node:crypto";
import { type NextRequest, NextResponse } from "next/server";
import { cookieName, isSecret } from "./lib/user";

/** Makes a user of every browser that opens a page without a cookie. */
export function proxy(request: NextRequest) {
  if (isSecret(request.cookies.get(cookieName)?.value)) return NextResponse.next();
  const secret = randomBytes(32).toString("base64url");
  // For the page that is about to be rendered, and for the browser.
  request.cookies.set(cookieName, secret);
  const response = NextResponse.next({ request });
  const secure = request.nextUrl.protocol === "https:";
  response.cookies.set(cookieName, secret, { httpOnly: true, sameSite: "lax", secure, maxAge: 365 * 86_400 });
  return response;
}

// Not the API: a program without cookies would be a new user with each of its questions.
export const config = { matcher: "/((?!api/|_next/|favicon.ico).*)" };
