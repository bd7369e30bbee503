import type { Locator } from "playwright-core";
import { expect } from "vitest";

// Where the elements of a page are, and how they look.

export async function boxOf(locator: Locator) {
  const box = await locator.boundingBox();
  if (!box) expect.fail(`${locator} is not shown.`);
  return { ...box, right: box.x + box.width, bottom: box.y + box.height };
}

/** A computed style: a number where it is one of pixels. */
export async function styleOf(locator: Locator, property: string): Promise<string | number> {
  const value: string = await locator.evaluate(
    (element: unknown, property: string) =>
      (globalThis as unknown as { getComputedStyle(of: unknown): CSSStyle })
        .getComputedStyle(element)
        .getPropertyValue(property),
    property,
  );
  return /^-?[\d.]+px$/.test(value) ? Number.parseFloat(value) : value;
}
interface CSSStyle {
  getPropertyValue(property: string): string;
}

/** How wide a text is that does not wrap, in the font of this element. */
export const widthOfText = (locator: Locator, text: string): Promise<number> =>
  locator.evaluate((element: HTMLLike, text: string) => {
    const probe = element.ownerDocument.createElement("span");
    probe.style.cssText = "position: absolute; visibility: hidden; white-space: nowrap; overflow-wrap: normal";
    probe.textContent = text;
    element.append(probe);
    const { width } = probe.getBoundingClientRect();
    probe.remove();
    return width;
  }, text);

interface HTMLLike {
  ownerDocument: { createElement(name: string): HTMLLike };
  style: { cssText: string };
  textContent: string;
  append(child: HTMLLike): void;
  getBoundingClientRect(): { width: number };
  remove(): void;
}
