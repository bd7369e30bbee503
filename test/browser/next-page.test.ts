import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { launchChromium } from "../support/chromium.ts";
import { createDatabase } from "../support/databases.ts";
import { folder as example } from "../support/next-app.ts";
import { buildPrintedApplication, logicOf, printedFiles } from "../support/next-page.ts";
import { startServer } from "../support/start-server.ts";

const setUp = ["lib/store.ts", "lib/user.ts", "instrumentation.ts"];

test("the application of docs/next.md has at most 70 lines beside markup and set-up", () => {
  const files = [...printedFiles].filter(([path]) => !setUp.includes(path));
  expect(files.length).toBe(5);
  expect(files.flatMap(([, text]) => logicOf(text)).length).toBeLessThanOrEqual(70);
});

test("the application of docs/next.md asks, stops, edits, asks again, lists, renames and deletes as it is printed", async () => {
  const folder = await buildPrintedApplication();
  const { url: databaseUrl, drop } = await createDatabase({ empty: true });
  onTestFinished(drop);
  const url = await startServer((port) => ({
    file: join(example, "node_modules", ".bin", "next"),
    args: ["start", "--hostname", "127.0.0.1", "--port", String(port)],
    cwd: folder,
    env: { ...process.env, NODE_ENV: "production", DATABASE_URL: databaseUrl },
  }));

  const browser = await launchChromium();
  onTestFinished(() => browser.close());
  const context = await browser.newContext();
  context.setDefaultTimeout(60_000);
  await context.addCookies([{ name: "user", value: "ada", url }]);
  const page = await context.newPage();
  const articles = page.locator("article p");
  const ask = async (text: string) => {
    await page.getByLabel("Message").fill(text);
    await page.getByLabel("Message").press("Enter");
  };
  const answered = () => page.getByRole("button", { name: "Ask again" }).waitFor();

  await page.goto(url);
  await ask("Why is it called PostgreSQL?");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await answered();
  await expect.poll(() => articles.count()).toBe(2);
  const first = await articles.nth(1).textContent();
  expect(first).not.toBe("");

  // The list hears of the new chat. A reload shows what is stored.
  const nav = page.getByRole("navigation");
  await nav.getByText("Why is it called PostgreSQL?").waitFor();
  await page.reload();
  expect(await articles.allTextContents()).toEqual(["Why is it called PostgreSQL?", first]);

  await ask("And the elephant?");
  await expect.poll(() => articles.count()).toBe(4);
  await page.getByRole("button", { name: "Stop" }).click();
  await answered();
  const shown = await articles.allTextContents();
  await page.reload();
  expect(await articles.allTextContents()).toEqual(shown);

  const typing = (text: string) => page.once("dialog", (dialog) => dialog.accept(text));
  typing("Why not?");
  await page.getByRole("button", { name: "Edit" }).first().click();
  await expect.poll(() => articles.first().textContent()).toBe("Why not?");
  await answered();
  await expect.poll(() => articles.count()).toBe(2);
  await page.getByRole("button", { name: "Ask again" }).click();
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await answered();
  await page.reload();
  expect(await articles.count()).toBe(2);

  typing("Databases");
  await nav.getByRole("button", { name: "Rename" }).click();
  await nav.getByRole("link", { name: "Databases" }).waitFor();
  await nav.getByRole("button", { name: "Archive" }).click();
  await expect.poll(() => nav.getByRole("link", { name: "Databases" }).count()).toBe(0);

  await nav.getByRole("link", { name: "New chat" }).click();
  await expect.poll(() => articles.count()).toBe(0);
  await ask("Again?");
  await nav.getByText("Again?").waitFor();
  await answered();
  await nav.getByRole("button", { name: "Delete" }).click();
  await expect.poll(() => nav.getByText("Again?").count()).toBe(0);
});
