import type { Chat } from "drizzle-chat-store";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { type KeyboardEvent, startTransition, type ToggleEvent, useId, useOptimistic, useRef, useState } from "react";
import { chats } from "@/lib/chats";
import { Confirm, IconButton, icons } from "./controls";
import { Search } from "./search";

interface SidebarProps {
  list: Chat[];
  archived: Chat[];
  /** The one that is shown. */
  chatId: string;
  onNewChat: () => void;
}

export function Sidebar({ list, archived, chatId, onNewChat }: SidebarProps) {
  const nav = useRef<HTMLElement>(null);
  const [query, setQuery] = useState("");
  const isSearching = query.trim() !== "";

  const itemOf = (chat: Chat) => (
    <ChatItem
      key={chat.id}
      chat={chat}
      isShown={chat.id === chatId}
      onOpen={() => nav.current?.hidePopover()}
      // Its button had the focus.
      onArchived={() => nav.current?.focus()}
      onDeleted={() => (chat.id === chatId ? onNewChat() : nav.current?.focus())}
    />
  );

  return (
    <aside className="sidebar">
      {/* On a phone the list is behind this button. */}
      <IconButton className="icon show-chats" label="Chats" icon={icons.chats} popoverTarget="chats" />
      {/* Works before the page is interactive too: the server gives "/" a new chat. */}
      <form
        action="/"
        onSubmit={(event) => {
          event.preventDefault();
          onNewChat();
        }}
      >
        <button type="submit" className="new-chat">
          New chat
        </button>
      </form>
      <nav ref={nav} id="chats" aria-label="Chats" popover="auto" tabIndex={-1}>
        <Search query={query} onQuery={setQuery} onOpen={() => nav.current?.hidePopover()} />
        {!isSearching && list.length > 0 && <ul>{list.map(itemOf)}</ul>}
        {!isSearching && archived.length > 0 && (
          <details open={archived.some(({ id }) => id === chatId)}>
            <summary>Archived</summary>
            <ul>{archived.map(itemOf)}</ul>
          </details>
        )}
      </nav>
    </aside>
  );
}

interface ChatItemProps {
  chat: Chat;
  isShown: boolean;
  onOpen: () => void;
  /** Or taken out of the archive: it is in the other list now. */
  onArchived: () => void;
  onDeleted: () => void;
}

function ChatItem({ chat, isShown, onOpen, onArchived, onDeleted }: ChatItemProps) {
  const more = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const menuId = useId();
  const router = useRouter();
  const [asked, setAsked] = useState<"rename" | "delete">();
  const [failed, setFailed] = useState(false);
  // A new title is shown while the server is being told.
  const [title, setTitle] = useOptimistic(chat.title || "Untitled");

  async function update(changes: { title?: string; archived?: boolean }) {
    const updated = await chats.update(chat.id, changes).catch(() => undefined);
    setFailed(!updated);
    // Another device has deleted it.
    if (updated === null) router.refresh();
    return updated;
  }

  async function remove() {
    const isDeleted = await chats.delete(chat.id).catch(() => undefined);
    // It was deleted before.
    if (isDeleted === false) router.refresh();
    return isDeleted !== undefined;
  }

  function rename(newTitle: string) {
    setAsked(undefined);
    if (newTitle === "" || newTitle === title) return;
    startTransition(async () => {
      setTitle(newTitle);
      await update({ title: newTitle });
    });
  }

  async function archive() {
    if (await update({ archived: !chat.archivedAt })) onArchived();
  }

  function choose(action: () => void) {
    menu.current?.hidePopover();
    action();
  }

  /** Under its button, wherever the list has been scrolled to. */
  function placeMenu({ newState, currentTarget }: ToggleEvent<HTMLDivElement>) {
    const button = more.current?.getBoundingClientRect();
    if (newState !== "open" || !button) return;
    currentTarget.style.setProperty("--top", `${button.bottom}px`);
    currentTarget.style.setProperty("--right", `${button.right}px`);
  }

  return (
    <li>
      <div className={isShown ? "chat shown" : "chat"}>
        {asked === "rename" ? (
          <TitleInput title={title} onLeave={rename} onDone={() => more.current?.focus()} />
        ) : (
          <Link
            href={`/?chatId=${encodeURIComponent(chat.id)}`}
            prefetch={false}
            title={title}
            aria-current={isShown ? "page" : undefined}
            onClick={onOpen}
          >
            {title}
          </Link>
        )}
        <IconButton ref={more} label={`More: ${title}`} icon={icons.more} popoverTarget={menuId} />
        <div ref={menu} id={menuId} className="menu" popover="auto" onBeforeToggle={placeMenu}>
          <button type="button" onClick={() => choose(() => setAsked("rename"))}>
            Rename
          </button>
          <button type="button" onClick={() => choose(archive)}>
            {chat.archivedAt ? "Unarchive" : "Archive"}
          </button>
          <button type="button" className="danger" onClick={() => choose(() => setAsked("delete"))}>
            Delete
          </button>
        </div>
      </div>
      {failed && <p role="alert">That did not work.</p>}
      {asked === "delete" && (
        <Confirm question="Delete this chat?" onConfirm={remove} onDone={onDeleted} onClose={() => setAsked(undefined)}>
          “{title}” will be gone, with all of its messages.
        </Confirm>
      )}
    </li>
  );
}

interface TitleInputProps {
  title: string;
  /** With what is written, however it is left; after Escape that is the old title. */
  onLeave: (written: string) => void;
  /** Takes the focus, by which it is left. */
  onDone: () => void;
}

function TitleInput({ title, onLeave, onDone }: TitleInputProps) {
  function onKeyDown(event: KeyboardEvent<HTMLInputElement>) {
    // While an input method composes, the keys are its own.
    if (event.nativeEvent.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    // On a phone, Escape would close the list, too.
    event.preventDefault();
    if (event.key === "Escape") event.currentTarget.value = title;
    onDone();
  }

  return (
    <input
      ref={selectAll}
      aria-label="Title"
      defaultValue={title}
      maxLength={200}
      autoComplete="off"
      onKeyDown={onKeyDown}
      onBlur={(event) => onLeave(event.currentTarget.value.trim())}
    />
  );
}

function selectAll(input: HTMLInputElement | null) {
  input?.focus();
  input?.select();
}
