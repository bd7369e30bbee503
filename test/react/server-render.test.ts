import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import { createChatClient } from "../../src/client.ts";
import { useChats, useStoredChat } from "../../src/react.ts";
import { say, textOf } from "../support/conversations.ts";

const client = createChatClient({ fetch: () => Promise.reject(new Error("Nothing is fetched on a server.")) });
const at = new Date("2026-11-30");
const chat = { id: "c", title: "Tides", version: 2, createdAt: at, updatedAt: at, archivedAt: null };
const page = { chat, messages: [say("user", "Why?"), say("assistant", "Because.")], sentAt: [at, at], hasMore: false };

function Chat(props: { page?: typeof page | null }) {
  const { messages, loadStatus, status, chat } = useStoredChat(client, { id: "c", ...props });
  return createElement("p", null, [loadStatus, status, chat?.title, ...messages.map(textOf)].join(" "));
}

function List({ chats }: { chats?: (typeof chat)[] }) {
  const list = useChats(client, { chats });
  return createElement("p", null, [list.loadStatus, ...list.chats.map(({ title }) => title)].join(" "));
}

test("a server renders the messages of a given page, and else the loading state", () => {
  const complaints = [vi.spyOn(console, "error"), vi.spyOn(console, "warn")];
  expect(renderToString(createElement(Chat, { page }))).toBe("<p>loaded ready Tides Why? Because.</p>");
  expect(renderToString(createElement(Chat, { page: null }))).toBe("<p>loaded ready </p>");
  expect(renderToString(createElement(Chat))).toBe("<p>loading ready </p>");
  expect(renderToString(createElement(List, { chats: [chat] }))).toBe("<p>loaded Tides</p>");
  expect(renderToString(createElement(List))).toBe("<p>loading</p>");
  for (const complaint of complaints) expect(complaint).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});
