import type { Page } from "playwright-core";
import { describe, expect, onTestFinished } from "vitest";
import { boxOf } from "../support/boxes.ts";
import {
  alertInMain,
  allowComplaint,
  answered,
  ask,
  chatOf,
  expectAccessible,
  interactive,
  messageBox,
  messages,
  newUser,
  open,
  screenshots,
  send,
  test,
  user,
} from "../support/browser.ts";
import { createDatabase } from "../support/databases.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { startNextApp } from "../support/next-app.ts";

const tryAgain = (page: Page) => page.getByRole("main").getByRole("button", { name: "Try again" });

describe("a question that fails", () => {
  /** Asks, and resolves to what the server has said. */
  async function refused(page: Page, question: string): Promise<string> {
    await messageBox(page).fill(question);
    const [response] = await Promise.all([page.waitForResponse("**/api/chat"), messageBox(page).press("Enter")]);
    return (await response.json()).error.message;
  }

  test("a question that is too large is refused in the server's words, and the page offers no second try", async () => {
    allowComplaint("413");
    const page = await open();
    await interactive(page);
    const words = await refused(page, "語".repeat(360_000));
    await expect.poll(() => alertInMain(page).innerText()).toContain(words);
    expect(await tryAgain(page).count()).toBe(0);
  });

  test("a question of a browser that is signed out is refused in the server's words", async () => {
    allowComplaint("401");
    const page = await open();
    await interactive(page);
    await user.clearCookies();
    const words = await refused(page, "Who am I?");
    await expect.poll(() => alertInMain(page).innerText()).toContain(words);
    expect(await tryAgain(page).count()).toBe(0);
    await expectAccessible(page);
  });

  test("a question too many is refused in the limiter's words, and the user can try again later", async () => {
    allowComplaint("429");
    const page = await open();
    await interactive(page);
    const error = { code: "too_many_requests", message: "Ten questions a minute are enough." };
    await page.route("**/api/chat", (route) => route.fulfill({ status: 429, json: { error } }));
    expect(await refused(page, "One more?")).toBe(error.message);
    await expect.poll(() => alertInMain(page).innerText()).toContain(error.message);
    await page.unroute("**/api/chat");
    await tryAgain(page).click();
    expect((await answered(page, 2))[1]).toContain("One more?");
    await expect.poll(() => alertInMain(page).count()).toBe(0);
  });

  test("a question that is asked offline says that the connection is lost, and is sent when it is there again", async () => {
    allowComplaint("net::ERR_");
    const page = await open(await chatOf(user, ["Apples"]));
    await interactive(page);
    await user.setOffline(true);
    await send(page, "Are you there?");
    await alertInMain(page)
      .filter({ hasText: /connection/i })
      .waitFor();
    expect(await alertInMain(page).innerText()).not.toContain("not complete");
    await user.setOffline(false);
    await tryAgain(page).click();
    expect((await answered(page, 4))[3]).toContain("Are you there?");
  });
});

describe("a page that is not there", () => {
  const expectToFill = async (page: Page) => {
    const { x, right } = await boxOf(page.getByRole("main"));
    expect(right - x).toBeGreaterThan(1_000);
    await expectAccessible(page);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(1280);
  };

  test("the page of an address that cannot be a chat's fills the window, and leads to a new chat", async () => {
    allowComplaint("404");
    const page = await open(`/?chatId=${"a".repeat(300)}`);
    await expectToFill(page);
    await page.screenshot({ path: `${screenshots}/not-found.png` });
    await page.getByRole("main").getByRole("link").click();
    await interactive(page);
    expect(await ask(page, "Is this a chat?")).toHaveLength(2);
  });

  test("the page of a server that has no database fills the window, and is there again with it", async () => {
    for (const complaint of ["500", "React error #441"]) allowComplaint(complaint);
    const { url, drop } = await createDatabase({ empty: true });
    onTestFinished(drop);
    const database = await faultyProxy(url);
    onTestFinished(() => database.close() as Promise<void>);
    const app = await startNextApp({ DATABASE_URL: database.url });
    onTestFinished(() => app.stop());
    database.aimAt("postgres://127.0.0.1:1");
    database.breakConnections();
    const page = await open(app.url, await newUser());
    const again = page.getByRole("main").getByRole("link", { name: "Try again" });
    await again.waitFor();
    await expectToFill(page);
    await page.screenshot({ path: `${screenshots}/server-error.png` });
    database.aimAt(url);
    await again.click();
    await messageBox(page).waitFor();
    expect(await messages(page).count()).toBe(0);
  });
});
