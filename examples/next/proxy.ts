import { type NextRequest, NextResponse } from "next/server";
import { newUserCookie, userCookie, userIdOf } from "./lib/user";

/** Every browser that opens a page without a valid cookie is a new user. */
export function proxy(request: NextRequest) {
  const isKnown = userIdOf(request.cookies.get(userCookie)?.value) !== undefined;
  // What costs or changes something is done for a user who has opened a page, and for this application's own pages only. A new user
  // for each such request would be a call of the model for everybody who can send one, other sites' pages included.
  if (!["GET", "HEAD"].includes(request.method) && !(isKnown && isFromHere(request))) {
    return NextResponse.json({ error: "Open a page of this application first." }, { status: 403 });
  }
  if (isKnown) return NextResponse.next();

  const cookie = newUserCookie();
  // For the page that is about to be rendered…
  request.cookies.set(userCookie, cookie);
  const response = NextResponse.next({ request });
  // …and for the browser.
  response.cookies.set(userCookie, cookie, {
    httpOnly: true,
    sameSite: "lax",
    secure: request.nextUrl.protocol === "https:",
    maxAge: 365 * 24 * 60 * 60,
  });
  return response;
}

/** Every browser says which site a request comes from; programs that are no browser do not. */
function isFromHere(request: NextRequest): boolean {
  return ["same-origin", "none", null].includes(request.headers.get("sec-fetch-site"));
}

export const config = { matcher: "/((?!_next/|favicon.ico).*)" };
