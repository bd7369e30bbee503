import { type NextRequest, NextResponse } from "next/server";
import { newUserCookie, userCookie, userIdOf } from "./lib/user";

/** Every browser that opens a page without a valid cookie is a new user. */
export function proxy(request: NextRequest) {
  if (userIdOf(request.cookies.get(userCookie)?.value) !== undefined) return NextResponse.next();

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

// Not the API: a program that keeps no cookie would be a new user with each of its questions, and each is a call of the model.
export const config = { matcher: "/((?!api/|_next/|favicon.ico).*)" };
