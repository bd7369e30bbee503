import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import { boxOf, styleOf, widthOfText } from "../support/boxes.ts";
import { answered, becomeUser, chatOf, messages, model, open, phone, test, user } from "../support/browser.ts";

// How the Markdown of an answer looks.

/** Opens a chat with this answer. */
async function openAnswer(markdown: string, question = "How does it look?"): Promise<Page> {
  model.reply(question, markdown);
  const page = await open(await chatOf(user, [question]));
  await answered(page, 2);
  return page;
}

const numbersOf = (page: Page, selectors: string[], property: string) =>
  Promise.all(selectors.map((selector) => styleOf(inAnswer(page, selector), property) as Promise<number>));
const inAnswer = (page: Page, selector: string) => messages(page, "assistant").locator(selector).first();

describe("tables", () => {
  test("a wide table scrolls inside its answer on a phone, and its words stay whole", async () => {
    await becomeUser({ viewport: phone });
    const head = ["Manufacturer", "Availability", "Price", "Recommendation", "Dimensions"];
    const row = ["Electrolux", "Immediately", "1,299", "Unreservedly", "Considerable"];
    const page = await openAnswer(
      [head, head.map(() => "---"), row].map((cells) => `| ${cells.join(" | ")} |`).join("\n"),
    );
    const cells = messages(page, "assistant").locator("th, td");
    expect(await cells.allInnerTexts()).toEqual([...head, ...row]);
    for (const cell of await cells.all()) {
      expect((await boxOf(cell)).width).toBeGreaterThanOrEqual(await widthOfText(cell, await cell.innerText()));
    }
    const scrolled = await inAnswer(page, "table").evaluate((table: ElementLike) => {
      for (let element: ElementLike | null = table; element; element = element.parentElement) {
        if (element.scrollWidth <= element.clientWidth) continue;
        element.scrollLeft = 10_000;
        if (element.scrollLeft > 0) return { role: element.role, tabIndex: element.tabIndex };
      }
      return null;
    });
    expect(scrolled).not.toBeNull();
    expect((await boxOf(cells.last())).right).toBeLessThanOrEqual(phone.width);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(phone.width);
  });
});
interface ElementLike {
  parentElement: ElementLike | null;
  scrollWidth: number;
  clientWidth: number;
  scrollLeft: number;
  role: string | null;
  tabIndex: number;
}

describe("right-to-left text", () => {
  const hebrew = "שלום עולם, זה ארוך.";
  test("a right-to-left answer has its marks, numbers and quotes on the right side, beside one in English", async () => {
    const markdown = [hebrew, `1. ${hebrew}\n2. ${hebrew}`, `> ${hebrew}`, "This is English."].join("\n\n");
    const page = await openAnswer(markdown, hebrew);
    const [first, last] = [inAnswer(page, "p"), messages(page, "assistant").locator("p").last()];
    for (const selector of ["ol", "li", "blockquote"]) {
      expect([selector, await styleOf(inAnswer(page, selector), "direction")]).toEqual([selector, "rtl"]);
    }
    expect(await styleOf(first, "direction")).toBe("rtl");
    expect(await styleOf(last, "direction")).toBe("ltr");
    // The numbers stand in the list's padding.
    const [left, right] = [
      await styleOf(inAnswer(page, "ol"), "padding-left"),
      await styleOf(inAnswer(page, "ol"), "padding-right"),
    ];
    expect(right).toBeGreaterThan(left as number);
    expect(await styleOf(inAnswer(page, "blockquote"), "border-right-width")).toBeGreaterThan(0);
    expect(await styleOf(inAnswer(page, "blockquote"), "border-left-width")).toBe(0);
    // The question, its title in the list, and what is being written.
    expect(await styleOf(messages(page, "user").getByText(hebrew), "direction")).toBe("rtl");
    expect(await styleOf(page.getByRole("link", { name: hebrew }), "direction")).toBe("rtl");
    const box = page.getByRole("textbox", { name: "Message" });
    await box.fill(hebrew);
    expect(await styleOf(box, "direction")).toBe("rtl");
  });
});

describe("code, links and headings", () => {
  test("lines of code are as high as their own font asks", async () => {
    const page = await openAnswer("```sql\nselect 1;\nselect 2;\n```");
    const code = inAnswer(page, "pre code");
    const [font, line] = [await styleOf(code, "font-size"), await styleOf(code, "line-height")] as number[];
    const padding = await numbersOf(page, ["pre"], "padding-top");
    const lines = ((await boxOf(inAnswer(page, "pre"))).height - 2 * (padding[0] ?? 0)) / 2;
    expect(Math.abs(lines - (line ?? 0))).toBeLessThanOrEqual(1);
    expect(lines / (font ?? 1)).toBeLessThan(1.7);
  });

  test("a link in an answer opens in another tab, and the chat stays", async () => {
    const page = await openAnswer("[A site](https://example.com/) and <https://example.com/other>");
    const links = messages(page, "assistant").getByRole("link");
    expect(await links.count()).toBe(2);
    for (const link of await links.all()) {
      expect(await link.getAttribute("target")).toBe("_blank");
      expect(await link.getAttribute("rel")).toMatch(/noopener/);
    }
  });

  test("headings have sizes of their own, none smaller than the text, and nested lists no gaps", async () => {
    const headings = [1, 2, 3, 4, 5].map((level) => `${"#".repeat(level)} Heading ${level}`);
    const page = await openAnswer(
      [...headings, "Text", "- one\n  - two\n  - three\n- four", "More", "- [x] done\n- [ ] to do"].join("\n\n"),
    );
    const sizes = await numbersOf(page, ["h1", "h2", "h3", "h4", "h5", "p"], "font-size");
    expect(sizes).toEqual(sizes.toSorted((one, other) => other - one));
    expect(new Set(sizes.slice(0, 3)).size).toBe(3);
    expect(await numbersOf(page, ["li ul"], "margin-top")).toEqual([expect.toSatisfy((margin) => margin <= 4)]);
    expect(await numbersOf(page, ["li ul"], "margin-bottom")).toEqual([expect.toSatisfy((margin) => margin <= 4)]);
    const task = messages(page, "assistant")
      .locator("li", { has: page.locator("input") })
      .first();
    expect(await styleOf(task, "list-style-type")).toBe("none");
  });

  test("the notes of two answers have addresses of their own", async () => {
    for (const question of ["One", "Two"]) model.reply(question, "A claim.[^1]\n\n[^1]: Its source.");
    const page = await open(await chatOf(user, ["One", "Two"]));
    await answered(page, 4);
    const ids = await page.evaluate<string[]>("[...document.querySelectorAll('main [id]')].map(({ id }) => id)");
    expect(new Set(ids).size).toBe(ids.length);
  });
});
