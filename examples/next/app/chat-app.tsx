"use client";

import type { ClientChat } from "drizzle-chat-store/client";
import type { StoredChatPage } from "drizzle-chat-store/react";
import { useSearchParams } from "next/navigation";
import { type MouseEvent, useEffect, useState } from "react";
import { Toaster } from "sonner";
import { isNewChat, openAddress, startNewChat } from "@/lib/chats";
import { ConfirmDialog } from "./controls";
import { Conversation } from "./conversation";
import { Sidebar } from "./sidebar";

interface ChatAppProps {
  /** What the server has rendered. The page of a new chat is null. */
  first: { id: string; page: StoredChatPage | null | undefined; list: ClientChat[]; archive: ClientChat[] };
}

export function ChatApp({ first }: ChatAppProps) {
  const address = useSearchParams();
  const id = address.get("chatId") ?? first.id;
  const [shown, show] = useState({ id, page: first.page });
  // Without a page, the hook loads the chat.
  if (id !== shown.id) show({ id, page: isNewChat(id) ? null : undefined });

  useEffect(() => {
    window.addEventListener("keydown", onShortcut);
    return () => window.removeEventListener("keydown", onShortcut);
  }, []);

  return (
    // biome-ignore lint/a11y: The clicks are those of links.
    <div className="chat-app" onClick={followLink}>
      <Sidebar first={first} shownId={id} />
      <Conversation key={id} {...shown} wantedId={address.get("message")} />
      <ConfirmDialog />
      <div id="toasts" className="toasts" popover="manual">
        <Toaster theme="system" position="top-center" />
      </div>
    </div>
  );
}

/** Opens chats in this page, and in a new tab if the user asks for one. */
function followLink(event: MouseEvent) {
  const href = (event.target as Element).closest("a")?.getAttribute("href");
  if (!href?.startsWith("/?") || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  openAddress(href);
}

function onShortcut(event: KeyboardEvent) {
  const key = event.ctrlKey || event.metaKey ? event.key.toLowerCase() : "";
  if (key === "o" && event.shiftKey) startNewChat();
  else if (key === "k") focusSearch();
  else return;
  event.preventDefault();
}

function focusSearch() {
  const chats = document.getElementById("chats");
  // On a phone, it is in the drawer.
  if (!chats?.checkVisibility()) chats?.showPopover();
  chats?.querySelector("input")?.focus();
}
