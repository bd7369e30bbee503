import type { Page } from "playwright-core";
import { expect } from "vitest";

// Where the conversation is scrolled to.

/** How many pixels its end is below what the page shows of it: 0 at the very end. */
export const below = (page: Page) =>
  page.evaluate<number>(`{
    const [scroll, column] = [document.querySelector("main .scroll"), document.querySelector("main .scroll .column")];
    Math.round(column.getBoundingClientRect().bottom - scroll.getBoundingClientRect().bottom);
  }`);

/** How many pixels its beginning is above what the page shows of it. */
export const above = (page: Page) =>
  page.evaluate<number>(`{
    const [scroll, column] = [document.querySelector("main .scroll"), document.querySelector("main .scroll .column")];
    Math.round(scroll.getBoundingClientRect().top - column.getBoundingClientRect().top);
  }`);

/** Turns the wheel over the conversation until that has come about: a turn is lost on a page that is not painted yet. */
export async function wheelUntil(page: Page, distance: number, hasCome: () => Promise<boolean>) {
  const box = await page.locator("main .scroll").boundingBox();
  if (!box) expect.fail("The conversation is not shown.");
  await page.mouse.move(box.x + 50, box.y + 50);
  await expect
    .poll(async () => {
      if (await hasCome()) return true;
      await page.mouse.wheel(0, distance);
      return hasCome();
    })
    .toBe(true);
  await scrollHasEnded(page);
}

export const scrollUp = (page: Page) =>
  page.evaluate(`{
    const scroll = document.querySelector("main .scroll");
    scroll.scrollTop = -scroll.scrollHeight;
  }`);

/** Not yet at its first message, but nothing more moves. */
export const scrollHasEnded = (page: Page) =>
  page.evaluate(`new Promise((resolve) => {
    const scroll = document.querySelector("main .scroll");
    let last;
    const look = () => {
      if (scroll.scrollTop === last) return resolve();
      last = scroll.scrollTop;
      requestAnimationFrame(() => requestAnimationFrame(look));
    };
    look();
  })`);

/** How many pixels an element is from the top of the window. */
export const topOf = (page: Page, id: string) =>
  page.evaluate<number>(`document.getElementById("${id}").getBoundingClientRect().top`);

/** Whether the page shows a part of the message with this text. */
export const isShown = (page: Page, text: string) =>
  page.evaluate<boolean>(`{
    const { top, bottom } = document.querySelector("main .scroll").getBoundingClientRect();
    const article = [...document.querySelectorAll("[role=log] article")].find(({ innerText }) => innerText.includes("${text}"));
    const box = article?.getBoundingClientRect();
    box !== undefined && box.bottom > top && box.top < bottom;
  }`);
