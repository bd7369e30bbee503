// Projects: main, node.
import { stat } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { folderWith } from "../support/application-folder.ts";
import { openEmptyDatabase, runCommand } from "../support/command-line.ts";

describe.each(["pg", "postgres"])("the command line with the driver %s", (driver) => {
  test("the command line connects by a Unix socket, however the URL names its folder", async ({ skip }) => {
    const { url, query } = await openEmptyDatabase();
    const cwd = await folderWith(driver);
    const { port, username, password, pathname } = new URL(url);
    const [{ unix_socket_directories: directories }] = await query("show unix_socket_directories");
    const socket = directories.split(",")[0].trim();
    const isHere = await stat(join(socket, `.s.PGSQL.${port}`)).then(
      (found) => found.isSocket(),
      () => false,
    );
    if (!isHere) skip();
    const user = `${username}:${password}`;
    const parameters = `host=${socket}&port=${port}`;
    for (const databaseUrl of [
      `postgres://${user}@${pathname}?${parameters}`,
      `postgresql://${pathname}?${parameters}&user=${username}&password=${password}`,
      `postgres://${user}@${encodeURIComponent(socket)}:${port}${pathname}`,
      `socket:${socket}?db=${pathname.slice(1)}&port=${port}&user=${username}&password=${password}`,
    ]) {
      expect(await runCommand(["status"], { databaseUrl, cwd })).toMatchObject({ exitCode: 1, stderr: "" });
      const { database } = JSON.parse((await runCommand(["status", "--json"], { databaseUrl, cwd })).stdout);
      expect(database).toEqual({ name: pathname.slice(1), host: socket, port: Number(port) });
    }
    const missing = `postgres://${user}@/d?host=/no/such/folder`;
    const { exitCode, stderr } = await runCommand(["status"], { databaseUrl: missing, cwd });
    expect([exitCode, stderr]).toEqual([
      3,
      "Could not connect to the database: there is no socket at the host of the URL (ENOENT).",
    ]);
  });

  test("the command line takes a URL with blanks around it, in capitals, and with a percent-encoded password", async () => {
    const { url, query } = await openEmptyDatabase();
    const cwd = await folderWith(driver);
    const role = `special_${driver}`;
    const password = "# / ? @ % : , & = + ü";
    const [, rest] = url.split("@");
    await query(`create role ${role} superuser login password '${password}'`);
    try {
      const given = `  POSTGRES://${role}:${encodeURIComponent(password)}@${rest}?application_name=a@b\n`;
      expect(await runCommand(["migrate"], { databaseUrl: given, cwd })).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await query("select tableowner from pg_tables where tablename = 'chats'")).toEqual([{ tableowner: role }]);
    } finally {
      await query(`drop owned by ${role} cascade`);
      await query(`drop role ${role}`);
    }
  });

  test("the command line gives the reason for a failed connection, and repeats nothing of the URL", async () => {
    const { url, query } = await openEmptyDatabase();
    const cwd = await folderWith(driver);
    const failing = async (edit: (url: URL) => void) => {
      const wrong = new URL(url);
      edit(wrong);
      const { exitCode, stdout, stderr } = await runCommand(["status"], { databaseUrl: wrong.href, cwd });
      expect([exitCode, stdout]).toEqual([3, ""]);
      for (const part of [wrong.href, wrong.host, wrong.pathname.slice(1), "ada", "secret"]) {
        expect(stderr).not.toContain(part);
      }
      return stderr;
    };
    const asAda = { username: "ada", password: "secret" };
    expect(await failing((url) => Object.assign(url, { ...asAda, port: "1" }))).toBe(
      "Could not connect to the database: nothing listens at the host and port of the URL (ECONNREFUSED).",
    );
    expect(await failing((url) => Object.assign(url, { ...asAda, hostname: "nowhere.invalid" }))).toMatch(
      /^Could not connect to the database: the URL's host .* \((ENOTFOUND|EAI_AGAIN)\)\.$/,
    );
    expect(await failing((url) => Object.assign(url, { pathname: "/absent" }))).toBe(
      "Could not connect to the database: there is no such database on the server (3D000).",
    );
    expect(await failing((url) => Object.assign(url, asAda))).toMatch(
      /^Could not connect to the database: the (user or the password is wrong \(28P01\)|server does not let this user in from here \(28000\))\.$/,
    );

    // A reason for which we have no words. Postgres's own name the database.
    const { pathname } = new URL((await openEmptyDatabase()).url);
    await query(`alter database ${pathname.slice(1)} allow_connections false`);
    expect(await failing((url) => Object.assign(url, { pathname }))).toBe(
      "Could not connect to the database: error 55000.",
    );

    // Not a Postgres server: it hangs up.
    const sockets = new Set<Socket>();
    const server = createServer(
      (socket) => sockets.add(socket.on("error", () => {})) && socket.end("HTTP/1.1 400\r\n\r\n"),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address ? String(address.port) : "";
    expect(
      await failing((url) =>
        Object.assign(url, { ...asAda, hostname: "127.0.0.1", port, search: "connect_timeout=1" }),
      ),
    ).toMatch(/^Could not connect to the database: (Connection terminated unexpectedly|timeout expired)\.$/);
  });
});
