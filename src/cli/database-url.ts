/** The command line is wrong. Its message is for the person who typed it, and repeats nothing that may hold a password. */
export class UsageError extends Error {}

/** The URL as both drivers read it. What they would take for another host or another database is refused. */
export function databaseUrl(given: string): string {
  const [, authority, rest] = /^postgres(?:ql)?:\/\/([^/?#]*)(.*)$/is.exec(given.trim()) ?? [];
  if (authority === undefined || rest === undefined) {
    throw new UsageError("The database's URL does not begin with postgres:// or postgresql://.");
  }
  // A password that is not encoded ends at its first / ? or #, and leaves the @ before the host to what comes after.
  const [path = ""] = rest.split("?");
  const isCutOff = rest.includes("#") || path.includes("@") || /^\?[^=]*@/.test(rest);
  if (!isCutOff && authority.split("@").at(-1)?.includes(",")) {
    throw new UsageError("The database's URL names several hosts. Expected one: that of the primary.");
  }
  const url = `postgres://${authority}${rest}`;
  if (isCutOff || !isReadable(url)) {
    throw new UsageError(
      "The database's URL cannot be read. What is special in its user or password has to be percent-encoded, as " +
        "encodeURIComponent does: # is %23, / is %2F, @ is %40, % is %25.",
    );
  }
  return url;
}

function isReadable(text: string): boolean {
  try {
    const { username, password, pathname } = new URL(text);
    // As the drivers do. It fails on a % that encodes nothing.
    decodeURIComponent(username + password + pathname);
    return true;
  } catch {
    return false;
  }
}
