import type { Page } from "playwright-core";

/** Requests to this address wait until they are released, as those of a slow server do. */
export async function held(page: Page, url: string | RegExp) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route(url, async (route) => {
    await released;
    await route.continue().catch(() => {});
  });
  return { release };
}
