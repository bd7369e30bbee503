import { expect } from "vitest";
import {
  allowComplaint,
  answered,
  ask,
  askAndHold,
  chatLinks,
  comeBack,
  keepsDocument,
  messageBox,
  open,
  pathOf,
  server,
  showsFirstWords,
  test,
  textsOf,
} from "../support/browser.ts";

test("pages stay when the server is killed in mid-answer, show its words so far, and the user can try again", async () => {
  allowComplaint("net::ERR_");
  const left = await open();
  const question = "Will you survive?";
  const held = await askAndHold(left, question);
  const path = pathOf(left);
  // Another tab has the words from the database: a crash cannot lose them any more.
  const other = await open(path);
  const said = await showsFirstWords(other);
  await other.close();
  const isSame = await keepsDocument(left);
  await messageBox(left).fill("A draft");
  await server.end("SIGKILL");
  await held.aborted;
  await left.getByRole("main").getByText("Connection lost").waitFor();
  await comeBack(left);
  expect((await textsOf(left))[1]).toBe(said);
  await server.start();
  const page = await open(path);
  await expect.poll(async () => (await textsOf(page))[1]).toBe(said);
  // The server is known to be dead after ten seconds of silence.
  for (const tab of [page, left]) {
    await tab.getByRole("main").getByText("This answer is not complete.").waitFor();
    expect((await answered(tab, 2))[1]).toBe(said);
  }
  expect(await messageBox(left).inputValue()).toBe("A draft");
  expect(await isSame()).toBe(true);
  await page.reload();
  await page.getByRole("main").getByText("This answer is not complete.").waitFor();
  expect((await answered(page, 2))[1]).toBe(said);
  await page.getByRole("button", { name: "Try again" }).click();
  await expect.poll(async () => (await textsOf(page))[1]?.length).toBeGreaterThan(said.length);
  const texts = await answered(page, 2);
  expect(texts[1]).toContain(`You asked "${question}"`);
  await expect.poll(() => textsOf(left)).toEqual(texts);
  await page.reload();
  expect(await answered(page, 2)).toEqual(texts);
});

test.each(["SIGTERM", "SIGKILL"] as const)("chats and users survive a restart of the server by %s", async (signal) => {
  const page = await open();
  const texts = await ask(page, "Will you remember me?");
  const path = pathOf(page);
  await page.close();
  await server.restart(signal);
  const again = await open(path);
  expect(await answered(again, 2)).toEqual(texts);
  await expect.poll(() => chatLinks(again).allInnerTexts()).toEqual(["Will you remember me?"]);
  expect(await ask(again, "So you do")).toHaveLength(4);
});
