"use client";

import type { Chat as ChatInList } from "drizzle-chat-store";
import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, useState } from "react";
import { chats } from "@/lib/chats";
import { Chat, type ChatProps } from "./chat";
import { Sidebar } from "./sidebar";

interface ShellProps {
  list: ChatInList[];
  archived: ChatInList[];
  stored: ChatProps;
}

/** The list, and the chat in the address. A new one is shown at once: the server learns of it by its first question. */
export function Shell({ list, archived, stored }: ShellProps) {
  const address = useSearchParams();
  const addressed = address.get("chatId");
  const [newId, setNewId] = useState<string>();
  if (newId === stored.id) setNewId(undefined);
  const isNew = newId !== undefined && newId === addressed;
  const chat = isNew ? { id: newId, title: undefined, version: undefined, messages: [], hasMore: false } : stored;

  // Reads the list and the chat again after each change, whether this page, another tab or another device has made it.
  const router = useRouter();
  useEffect(
    () =>
      chats.subscribe(() => {
        // Offline, Next would leave the page for the browser's own error page.
        if (navigator.onLine) router.refresh();
      }),
    [router],
  );

  function startNewChat() {
    // Browsers have this on https and on localhost only.
    const id = crypto.randomUUID();
    setNewId(id);
    window.history.pushState(null, "", `/?chatId=${id}`);
  }

  return (
    <>
      <Sidebar list={list} archived={archived} chatId={chat.id} onNewChat={startNewChat} />
      <Chat
        key={chat.id}
        {...chat}
        wantedId={chat.id === addressed ? (address.get("message") ?? undefined) : undefined}
        // The address is the chat's again: a reload leads to its end, and the same find to the message once more.
        onFound={() => window.history.replaceState(null, "", `/?chatId=${encodeURIComponent(chat.id)}`)}
      />
    </>
  );
}
