/** A mistake on the command line. The message repeats nothing that may contain a password. */
export class UsageError extends Error {}

/**
 * Rewrites the URL in one form that both drivers and `URL` read in the same way. Accepts every form that pg accepts: a
 * host or the folder of a Unix socket, in the place of the host or as `?host=`, and for a socket also
 * `socket:<folder>?db=<name>` and `<folder> <name>`. Refuses URLs that a driver would read as another host or another
 * database.
 */
export function parseDatabaseUrl(given: string): string {
  const url = given.trim();
  if (url.startsWith("/")) return socketUrl(url);
  if (/^socket:/i.test(url)) return urlOfSocketScheme(url);
  const [, authority, rest] = /^postgres(?:ql)?:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  if (authority === undefined || rest === undefined) {
    throw new UsageError("The database's URL does not begin with postgres:// or postgresql://.");
  }
  // An unencoded password ends at its first / ? or #. The @ before the host then comes after that.
  const [path = ""] = rest.split("?");
  if (rest.includes("#") || path.includes("@") || /^\?[^=]*@/.test(rest)) throw notReadable();
  const hostAndPort = authority.split("@").at(-1) ?? "";
  if (hostAndPort.includes(",")) throw severalHosts();
  const port = /:([^\]]*)$/.exec(hostAndPort)?.[1] ?? "";
  if (port !== "" && !(/^\d+$/.test(port) && Number(port) <= 65_535)) {
    // The "port" may be the beginning of a password that contains a question mark.
    if (rest.includes("@")) throw notReadable();
    throw new UsageError("The port in the database's URL is not a number up to 65535.");
  }
  const complete =
    hostAndPort === "" || hostAndPort.startsWith(":") ? withoutHost(authority, rest) : `postgres://${authority}${rest}`;
  const parsed = parse(complete);
  if (parsed.searchParams.get("host")?.includes(",")) throw severalHosts();
  return complete;
}

/** The parts of a URL from {@link parseDatabaseUrl}, for a driver other than pg. Missing parts are empty. */
export function targetOf(url: string) {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const partOf = (name: string, text: string) => searchParams.get(name) || decodeURIComponent(text);
  const target = {
    host: partOf("host", hostname.replace(/^\[(.*)\]$/, "$1")),
    port: partOf("port", port),
    user: partOf("user", username),
    password: partOf("password", password),
    database: decodeURIComponent(pathname.slice(1)),
  };
  for (const name of Object.keys(target)) searchParams.delete(name);
  return { ...target, others: searchParams };
}

/** `URL` cannot read a user without a host. Both drivers also read it from the parameters. */
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
  if (others.length > 0) {
    throw new UsageError("Expected the folder of a Unix socket, a blank, and the database's name.");
  }
  return `postgres:///${encodeURIComponent(database)}?host=${encodeURIComponent(folder)}`;
}

function urlOfSocketScheme(given: string): string {
  if (given.includes("#")) throw notReadable();
  // `URL` needs a host after a user. pg inserts the same one.
  const { username, password, pathname, searchParams } = parse(given.replace("@/", "@socket/"));
  const [database, encoding] = [searchParams.get("db") ?? "", searchParams.get("encoding")];
  for (const name of ["db", "encoding"]) searchParams.delete(name);
  const parameters = { host: pathname, user: username, password };
  for (const [name, value] of Object.entries(parameters)) if (value) searchParams.set(name, decoded(value));
  if (encoding) searchParams.set("client_encoding", encoding);
  return `postgres:///${encodeURIComponent(database)}?${searchParams}`;
}

/** Fails, as pg does, on a % that encodes nothing. */
function parse(text: string): URL {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password + url.pathname + url.hostname);
    return url;
  } catch {
    throw notReadable();
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notReadable();
  }
}

const severalHosts = () => new UsageError("The database's URL names several hosts. Expected one, that of the primary.");

const notReadable = () =>
  new UsageError(
    "The database's URL cannot be read. Special characters in its user and password must be percent-encoded, as " +
      "encodeURIComponent does: # is %23, / is %2F, @ is %40, % is %25.",
  );
