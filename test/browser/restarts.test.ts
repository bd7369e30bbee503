import { expect } from "vitest";
import {
  alertInMain,
  answered,
  ask,
  askAndHold,
  chatLinks,
  forgetComplaints,
  open,
  pathOf,
  server,
  showsFirstWords,
  test,
  textsOf,
} from "../support/browser.ts";

test("what a server has written before it was killed is there, and the user can ask again", async () => {
  const left = await open();
  const question = "Will you survive?";
  const held = await askAndHold(left, question);
  const path = pathOf(left);
  // Another tab has the words from the database: a crash cannot lose them any more.
  const said = await showsFirstWords(await open(path));
  await server.restart("SIGKILL");
  await held.aborted;
  // Not reloaded: they may be on their way to the browser's own page for servers that are away.
  for (const page of left.context().pages()) await page.close();
  forgetComplaints();
  const page = await open(path);
  await expect.poll(async () => (await textsOf(page))[1]).toBe(said);
  // The server is known to be dead after ten seconds of silence.
  await alertInMain(page).waitFor();
  const partial = await answered(page, 2);
  expect(partial[1]).toBe(said);
  await page.reload();
  expect(await answered(page, 2)).toEqual(partial);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect.poll(async () => (await textsOf(page))[1]?.length).toBeGreaterThan(said.length);
  const texts = await answered(page, 2);
  expect(texts[1]).toContain(`You asked "${question}"`);
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
