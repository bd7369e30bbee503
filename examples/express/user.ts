/** Stands in for your login: take the user from your session, never from anything that a client can make up. */
export const userIdOf = (request: Request) => request.headers.get("x-user-id");
