import pg from "pg";
import { expect, test } from "vitest";
import { parseDatabaseUrl, targetOf } from "../../src/cli/database-url.ts";

const readable: [given: string, target: Partial<ReturnType<typeof targetOf>>][] = [
  ["postgres://u:p%40@h:5433/d", { host: "h", port: "5433", user: "u", password: "p@", database: "d" }],
  [
    "postgres://u:p%40%2B@/d?host=/cloudsql/project:region:instance",
    { host: "/cloudsql/project:region:instance", user: "u", password: "p@+", database: "d" },
  ],
  ["postgres://u@/d?host=/tmp&port=5433", { host: "/tmp", port: "5433", user: "u", database: "d" }],
  ["postgres://u:p@:5433/d", { host: "", port: "5433", user: "u", password: "p" }],
  ["postgresql:///d?host=/tmp&user=u&password=p", { host: "/tmp", user: "u", password: "p", database: "d" }],
  ["postgres://u@%2Ftmp:5433/d", { host: "/tmp", port: "5433", user: "u", database: "d" }],
  ["postgres://u@[::1]:5433/d", { host: "::1", port: "5433", user: "u" }],
  ["postgres://u@h/my%20db", { host: "h", database: "my db" }],
  ["postgres://h", { host: "h", user: "", database: "" }],
  ["postgres://h/?user=u", { host: "h", user: "u", database: "" }],
  ["socket:/tmp?db=d", { host: "/tmp", database: "d" }],
  ["socket://u:p%2B@/tmp?db=d&encoding=utf8", { host: "/tmp", user: "u", password: "p+", database: "d" }],
  ["/var/run/postgresql d", { host: "/var/run/postgresql", database: "d" }],
];

const asPgReads = (connectionString: string) => {
  const { host, port, user, password, database } = new pg.Client({ connectionString });
  return { host, port, user, password, database };
};

test.each(readable)("%s leads where pg goes with it", (given, target) => {
  const url = parseDatabaseUrl(given);
  expect(targetOf(url)).toMatchObject(target);
  const { host, port, user, password, database } = targetOf(url);
  const here = Object.entries({ host, port: Number(port), user, password, database }).filter(([, value]) => value);
  expect(asPgReads(url)).toMatchObject(Object.fromEntries(here));
  // Of a port without a host pg says that the URL is invalid.
  if (!given.includes("@:")) expect(asPgReads(url)).toEqual(asPgReads(given));
});

const refused: [given: string, sentence: RegExp][] = [
  ["postgres://u:secret@h:99999/d", /port .* is not a number up to 65535/],
  ["postgres://u:secret@h:port/d", /port .* is not a number up to 65535/],
  ["postgres://u:secret@h,i/d", /several hosts/],
  ["postgres://u:secret@/d?host=h,i", /several hosts/],
  ["postgres://u:sec#ret@/d?host=/tmp", /percent-encoded/],
  ["postgres://u:sec%ret@/d?host=/tmp", /percent-encoded/],
  ["postgres://u:secret?@h/d", /percent-encoded/],
  ["socket://u:sec#ret@/tmp?db=d", /percent-encoded/],
  ["/tmp d secret", /Expected the folder/],
  ["host=h password=secret", /does not begin with postgres:/],
];

test.each(refused)("%s is refused with its reason, and without the password", (given, sentence) => {
  const refusal = () => parseDatabaseUrl(given);
  expect(refusal).toThrow(sentence);
  expect(refusal).not.toThrow(/secret|sec/);
});
