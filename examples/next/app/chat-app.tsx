"use client";

import type { ClientChat } from "drizzle-chat-store/client";
import type { StoredChatPage } from "drizzle-chat-store/react";
import { useSearchParams } from "next/navigation";
import { useEffect, useEffectEvent, useState } from "react";
import { Toaster } from "sonner";
import { Conversation } from "./conversation";
import { Sidebar } from "./sidebar";

interface ChatAppProps {
  /** The chat of the address. Its page is null if it is new. */
  first: { id: string; page: StoredChatPage | null };
  list: ClientChat[];
  archived: ClientChat[];
}

/** The list, and the chat in the address. */
export function ChatApp({ first, list, archived }: ChatAppProps) {
  const address = useSearchParams();
  const chatId = address.get("chatId") ?? first.id;
  const [newId, setNewId] = useState<string>();
  const [shown, setShown] = useState<{ id: string; page: StoredChatPage | null | undefined }>(first);
  if (chatId !== shown.id) {
    // Without a page, the hook loads the chat.
    setShown({ id: chatId, page: chatId === newId ? null : undefined });
    setNewId(undefined);
  }

  /** Not by Next's router, which replaces the page by an error of the browser if the server is away. */
  function openAddress(address: string) {
    window.history.pushState(null, "", address);
    document.getElementById("chats")?.hidePopover();
  }

  function startNewChat() {
    // Browsers have this on https and on localhost only.
    const id = crypto.randomUUID();
    setNewId(id);
    openAddress(`/?chatId=${id}`);
  }

  const onKeyDown = useEffectEvent((event: KeyboardEvent) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    const key = event.key.toLowerCase();
    if (key === "k") focusSearch();
    else if (key === "o" && event.shiftKey) startNewChat();
    else return;
    event.preventDefault();
  });
  useEffect(() => {
    const listener = (event: KeyboardEvent) => onKeyDown(event);
    window.addEventListener("keydown", listener);
    return () => window.removeEventListener("keydown", listener);
  }, []);

  return (
    <div className="chat-app">
      <Sidebar list={list} archived={archived} chatId={shown.id} onOpen={openAddress} onNewChat={startNewChat} />
      <Conversation
        key={shown.id}
        id={shown.id}
        page={shown.page}
        wantedId={shown.id === chatId ? address.get("message") : null}
        onOpen={openAddress}
        onNewChat={startNewChat}
      />
      <Toaster theme="system" position="top-center" />
    </div>
  );
}

/** On a phone, it is in the drawer. */
function focusSearch() {
  const chats = document.getElementById("chats");
  if (chats && !chats.checkVisibility()) chats.showPopover();
  chats?.querySelector<HTMLInputElement>("input[type=search]")?.focus();
}
