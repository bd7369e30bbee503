import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bundlers } from "./support/bundles/bundlers.ts";
import { drivers } from "./support/databases.ts";
import { drizzleVersions } from "./support/drizzle/versions.ts";
import { pgBouncerVersion } from "./support/pgbouncer.ts";
import { majors } from "./support/postgres-majors.ts";
import { runtimes } from "./support/runtimes/runtimes.ts";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const installed = (name: string): string =>
  JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version;

const nodeMajors = /for major in ([\d ]+)/.exec(readFileSync(".ci/run", "utf8"))?.[1]?.split(" ").sort() ?? [];
const aiMajors = ["ai5", "ai6", "ai"].map((name) => Number.parseInt(installed(name), 10));
const drizzle = drizzleVersions.map(({ installedAs, but }) => {
  const version = installed(installedAs);
  return { release: version.includes("-") ? version : version.replace(/\.\d+$/, ""), but };
});
const versions = [
  ["Node", nodeMajors.join(", "), "[.ci/run](../.ci/run)"],
  ["Postgres", majors.map(({ major }) => major).join(", "), '`npm run suite "postgres-*"`'],
  [
    "drizzle-orm",
    drizzle.map(({ release, but }) => (but ? `${release} (but ${but})` : release)).join(", "),
    '`npm run suite "drizzle-*"`',
  ],
  ["ai", aiMajors.join(", "), "`npm test`, `npm run suite package`"],
  ["zod", manifest.peerDependencies.zod.replaceAll("^", "").replace(" || ", ", "), "`npm run suite package`"],
  ["bundlers", bundlers.map(({ name }) => name).join(", "), "`npm run suite bundles`"],
  ...runtimes.map(({ name, version }) => [name, version, "`npm run suite runtimes`"]),
];
const driversOn = runtimes.map(({ name, drivers }) => [name, drivers.map(({ name }) => name).join(", ")]);

/** Drizzle's Postgres drivers that no test imports. */
function notTried(): string[] {
  const programs = runtimes.flatMap(({ drivers }) => drivers.map(({ program }) => program));
  const tried = ["test/support/databases.ts", ...programs].map((file) => readFileSync(file, "utf8")).join();
  return readdirSync("node_modules/drizzle-orm", { recursive: true, encoding: "utf8" })
    .filter((file) => /\bsession\.d\.ts$/.test(file))
    .filter((file) => /extends PgSession\b/.test(readFileSync(`node_modules/drizzle-orm/${file}`, "utf8")))
    .map((file) => file.replace(/\/session\.d\.ts$/, ""))
    .filter((name) => !tried.includes(`"drizzle-orm/${name}"`))
    .sort();
}

const table = (rows: string[][]) => rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");

test("the tables of docs/compatibility.md list the versions and drivers that the tests use", () => {
  const page = readFileSync("docs/compatibility.md", "utf8");
  expect(page).toContain(table([["", "", "run by"], ["---", "---", "---"], ...versions]));
  expect(page).toContain(
    table([["driver", "works"], ["---", "---"], ...drivers.map(({ name, works }) => [name, works])]),
  );
  expect(page).toContain(table([["runtime", "drivers"], ["---", "---"], ...driversOn]));
  expect(page).toContain(`Debian's ${pgBouncerVersion}, in transaction mode`);
  expect(page).toContain(`Not tried: ${notTried().join(", ")}.`);
});

test("package.json asks for the versions in the tables", () => {
  const { engines, peerDependencies } = manifest;
  expect(engines.node).toBe(`>=${nodeMajors[0]}`);
  for (const name of ["express", "next"]) {
    const example = JSON.parse(readFileSync(`examples/${name}/package.json`, "utf8"));
    expect([name, example.engines.node]).toEqual([name, engines.node]);
  }
  // And says the same.
  expect(readFileSync("examples/express/README.md", "utf8")).toContain(`asks for Node ${nodeMajors[0]} or newer`);
  const releases = drizzle.map(({ release }) => release).filter((release) => !release.includes("-"));
  const nextMinor = Number(releases.at(-1)?.split(".")[1]) + 1;
  expect(peerDependencies["drizzle-orm"]).toBe(`>=${releases[0]} <0.${nextMinor} || >=1.0.0-rc.1 <2`);
  expect(peerDependencies.ai).toBe(`>=${aiMajors[0]} <${(aiMajors.at(-1) ?? 0) + 1}`);
});
