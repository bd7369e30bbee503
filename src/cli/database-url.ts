/** The command line is wrong. Its message is for the person who typed it, and repeats nothing that may hold a password. */
export class UsageError extends Error {}

/**
 * The URL in one form that both drivers and `URL` read. It takes what pg takes: a host or the folder of a Unix socket in the place of the
 * host or as `?host=`, and for a socket also `socket:<folder>?db=<name>` and `<folder> <name>`. What the drivers would take for
 * another host or another database is refused.
 */
export function databaseUrl(given: string): string {
  const url = given.trim();
  if (url.startsWith("/")) return socketUrl(url);
  if (/^socket:/i.test(url)) return urlOfSocketScheme(url);
  const [, authority, rest] = /^postgres(?:ql)?:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  if (authority === undefined || rest === undefined) {
    throw new UsageError("The database's URL does not begin with postgres:// or postgresql://.");
  }
  // A password that is not encoded ends at its first / ? or #, and leaves the @ before the host to what comes after.
  const [path = ""] = rest.split("?");
  if (rest.includes("#") || path.includes("@") || /^\?[^=]*@/.test(rest)) throw unreadable();
  const place = authority.split("@").at(-1) ?? "";
  if (place.includes(",")) throw severalHosts();
  const port = /:([^\]]*)$/.exec(place)?.[1] ?? "";
  if (port !== "" && !(/^\d+$/.test(port) && Number(port) <= 65_535)) {
    // It may be the beginning of a password, whose end comes after the question mark.
    if (rest.includes("@")) throw unreadable();
    throw new UsageError("The port in the database's URL is not a number up to 65535.");
  }
  const complete =
    place === "" || place.startsWith(":") ? withoutHost(authority, rest) : `postgres://${authority}${rest}`;
  const parsed = parse(complete);
  if (parsed.searchParams.get("host")?.includes(",")) throw severalHosts();
  return complete;
}

/** Where a URL that {@link databaseUrl} has given leads, for a driver that reads it otherwise than pg. What is not given is empty. */
export function targetOf(url: string) {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const given = (name: string, otherwise: string) => searchParams.get(name) || decodeURIComponent(otherwise);
  const target = {
    host: given("host", hostname.replace(/^\[(.*)\]$/, "$1")),
    port: given("port", port),
    user: given("user", username),
    password: given("password", password),
    database: decodeURIComponent(pathname.slice(1)),
  };
  for (const name of Object.keys(target)) searchParams.delete(name);
  return { ...target, others: searchParams };
}

/** `URL` reads no user without a host: both drivers take it from the parameters as well. */
function withoutHost(authority: string, rest: string): string {
  const at = authority.lastIndexOf("@");
  const [, user = "", password = ""] = /^([^:]*):?(.*)$/s.exec(authority.slice(0, Math.max(at, 0))) ?? [];
  const port = authority.slice(at + 2);
  const url = parse(`postgres://${rest.startsWith("/") ? "" : "/"}${rest}`);
  for (const [name, value] of Object.entries({ user, password, port })) {
    if (value !== "" && !url.searchParams.has(name)) url.searchParams.set(name, decoded(value));
  }
  return url.href;
}

function socketUrl(given: string): string {
  const [folder = "", database = "", ...others] = given.split(/\s+/);
  if (others.length > 0)
    throw new UsageError("Expected the folder of a Unix socket, a blank, and the database's name.");
  return `postgres:///${encodeURIComponent(database)}?host=${encodeURIComponent(folder)}`;
}

function urlOfSocketScheme(given: string): string {
  if (given.includes("#")) throw unreadable();
  // As pg does it, for a user without a host.
  const { username, password, pathname, searchParams } = parse(given.replace("@/", "@socket/"));
  const [database, encoding] = [searchParams.get("db") ?? "", searchParams.get("encoding")];
  for (const name of ["db", "encoding"]) searchParams.delete(name);
  const parameters = { host: pathname, user: username, password };
  for (const [name, value] of Object.entries(parameters)) if (value) searchParams.set(name, decoded(value));
  if (encoding) searchParams.set("client_encoding", encoding);
  return `postgres:///${encodeURIComponent(database)}?${searchParams}`;
}

/** What pg and `URL` can read. They fail on a % that encodes nothing. */
function parse(text: string): URL {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password + url.pathname + url.hostname);
    return url;
  } catch {
    throw unreadable();
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw unreadable();
  }
}

const severalHosts = () => new UsageError("The database's URL names several hosts. Expected one: that of the primary.");

const unreadable = () =>
  new UsageError(
    "The database's URL cannot be read. What is special in its user or password has to be percent-encoded, as " +
      "encodeURIComponent does: # is %23, / is %2F, @ is %40, % is %25.",
  );
