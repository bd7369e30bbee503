import type { Page } from "playwright-core";

// The search in the list of chats.

export const searchBox = (page: Page) => page.getByRole("searchbox", { name: "Search chats" });
export const found = (page: Page) => page.getByRole("list", { name: "Found" }).getByRole("link");
export const searchStatus = (page: Page) => page.getByRole("search").getByRole("status").innerText();
export const searchOn = (page: Page) => page.getByRole("button", { name: "Search on" });
