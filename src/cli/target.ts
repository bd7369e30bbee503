import { toAscii } from "./terminal.ts";

/** The database that a driver has connected to. Holds neither a user nor a password. */
export interface Target {
  name: string;
  /** Or the folder of a Unix socket. */
  host: string;
  port: number;
}

/** Such as `database "app" at localhost:5433`. */
export function nameOf({ name, host, port }: Target): string {
  const address = host.includes(":") && !host.startsWith("/") ? `[${host}]` : host;
  const place = toAscii(`${address}${port === 5432 ? "" : `:${port}`}`).slice(1, -1);
  return `database ${toAscii(name)} at ${place}`;
}
