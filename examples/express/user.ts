import type { Request, RequestHandler } from "express";
import { HttpError } from "./errors.ts";

/** Stands in for your login, which takes the user from a session and never from what a client can make up. */
export const userIdOf = (request: Request) => request.get("x-user-id") ?? "";

export const signedIn: RequestHandler = (request, _response, next) => {
  if (!userIdOf(request)) throw new HttpError(401, "Who are you? Expected the header x-user-id.");
  next();
};
