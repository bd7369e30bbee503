import type { ClientChat } from "drizzle-chat-store/client";
import { type UseChatsResult, useChats } from "drizzle-chat-store/react";
import { SquarePen, X } from "lucide-react";
import { type KeyboardEvent, useState } from "react";
import { toast } from "sonner";
import { chats } from "@/lib/chats";
import { ChatLink, Confirm, IconButton, LoadMore, Menu, showError } from "./controls";
import { useHydrated } from "./message-box";
import { Search } from "./search";

interface SidebarProps {
  list: ClientChat[];
  archived: ClientChat[];
  /** The chat that is shown. */
  chatId: string;
  onOpen: (address: string) => void;
  onNewChat: () => void;
}

export function Sidebar({ list, archived, chatId, onOpen, onNewChat }: SidebarProps) {
  const current = useChats(chats, { chats: list });
  const archive = useChats(chats, { chats: archived, archived: true });
  const [query, setQuery] = useState("");
  const isLocal = useHydrated();

  const listOf = (chats: ClientChat[] | undefined, { update, remove }: UseChatsResult) => (
    <ul>
      {chats?.map((chat) => (
        <ChatItem
          key={chat.id}
          chat={chat}
          isShown={chat.id === chatId}
          onOpen={onOpen}
          onUpdate={(changes) => update(chat.id, changes)}
          onRemove={() => {
            if (chat.id === chatId) onNewChat();
            // Its menu had the focus.
            else document.getElementById("chats")?.focus();
            remove(chat.id).then(() => toast("Chat deleted"), showError);
          }}
        />
      ))}
    </ul>
  );

  return (
    // Beside the conversation, and on a phone a drawer over it.
    <nav id="chats" className="sidebar" aria-label="Chats" popover="auto" tabIndex={-1}>
      <div className="row">
        <button type="button" className="button" onClick={onNewChat}>
          <SquarePen size={18} aria-hidden="true" /> New chat
        </button>
        <IconButton className="icon-button close" label="Close" icon={X} popoverTarget="chats" />
      </div>
      <Search query={query} onQuery={setQuery} onOpen={onOpen} />
      {query.trim() === "" && (
        <div className="scroll">
          {days.map((day) => {
            const chats = current.chats.filter(({ updatedAt }) => dayOf(updatedAt, isLocal) === day);
            return (
              chats.length > 0 && (
                <section key={day}>
                  <h2>{day}</h2>
                  {listOf(chats, current)}
                </section>
              )
            );
          })}
          {current.hasMore && (
            <LoadMore
              label="More chats"
              isLoading={current.isLoadingMore}
              error={current.loadError}
              onLoad={current.loadMore}
            />
          )}
          {archive.chats.length > 0 && (
            <details
              open={archive.chats.some(({ id }) => id === chatId)}
              onToggle={({ currentTarget }) => currentTarget.open && currentTarget.scrollIntoView()}
            >
              <summary>Archived</summary>
              {listOf(archive.chats, archive)}
              {archive.hasMore && (
                <LoadMore
                  label="More archived chats"
                  isLoading={archive.isLoadingMore}
                  error={archive.loadError}
                  onLoad={archive.loadMore}
                />
              )}
            </details>
          )}
        </div>
      )}
      <a className="foot" href="https://www.npmjs.com/package/drizzle-chat-store" target="_blank" rel="noreferrer">
        drizzle-chat-store example
      </a>
    </nav>
  );
}

const days = ["Today", "Yesterday", "Previous 7 days", "Previous 30 days", "Older"];

/** In UTC until the page knows the reader's time zone. */
function dayOf(date: Date, isLocal: boolean): string {
  const midnight = new Date();
  if (isLocal) midnight.setHours(0, 0, 0, 0);
  else midnight.setUTCHours(0, 0, 0, 0);
  const days = Math.ceil((midnight.getTime() - date.getTime()) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  return days <= 7 ? "Previous 7 days" : days <= 30 ? "Previous 30 days" : "Older";
}

interface ChatItemProps {
  chat: ClientChat;
  isShown: boolean;
  onOpen: (address: string) => void;
  onUpdate: (changes: { title?: string; archived?: boolean }) => Promise<unknown>;
  onRemove: () => void;
}

function ChatItem({ chat, isShown, onOpen, onUpdate, onRemove }: ChatItemProps) {
  const [asked, setAsked] = useState<"rename" | "delete">();
  const title = chat.title || "Untitled";

  function rename(written: string) {
    setAsked(undefined);
    if (written !== "" && written !== title) onUpdate({ title: written }).catch(showError);
  }

  function archive(archived: boolean) {
    document.getElementById("chats")?.focus();
    const undo = { label: "Undo", onClick: () => void chats.update(chat.id, { archived: !archived }).catch(showError) };
    onUpdate({ archived }).then(
      () => toast(archived ? "Chat archived" : "Chat taken out of the archive", { action: undo }),
      showError,
    );
  }

  return (
    <li className={isShown ? "row chat shown" : "row chat"}>
      {asked === "rename" ? (
        <TitleInput title={title} onLeave={rename} />
      ) : (
        <ChatLink
          href={`/?chatId=${encodeURIComponent(chat.id)}`}
          dir="auto"
          title={title}
          aria-current={isShown ? "page" : undefined}
          onOpen={onOpen}
        >
          {title}
        </ChatLink>
      )}
      <Menu label={`More: ${title}`}>
        <button type="button" onClick={() => setAsked("rename")}>
          Rename
        </button>
        <button type="button" onClick={() => archive(!chat.archivedAt)}>
          {chat.archivedAt ? "Unarchive" : "Archive"}
        </button>
        <button type="button" className="danger" onClick={() => setAsked("delete")}>
          Delete
        </button>
      </Menu>
      {asked === "delete" && (
        <Confirm question="Delete this chat?" onConfirm={onRemove} onClose={() => setAsked(undefined)}>
          “{title}” will be gone, with all of its messages.
        </Confirm>
      )}
    </li>
  );
}

/** Saves however the user leaves it, except by Escape. */
function TitleInput({ title, onLeave }: { title: string; onLeave: (written: string) => void }) {
  function onKeyDown(event: KeyboardEvent<HTMLInputElement>) {
    // While an input method composes, the keys are its own.
    if (event.nativeEvent.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    // On a phone, Escape would close the list, too.
    event.preventDefault();
    const input = event.currentTarget;
    if (event.key === "Escape") input.value = title;
    // Leaves the input.
    input.parentElement?.querySelector("button")?.focus();
  }

  return (
    <input
      ref={(input) => input?.select()}
      aria-label="Title"
      dir="auto"
      defaultValue={title}
      maxLength={200}
      autoComplete="off"
      onKeyDown={onKeyDown}
      onBlur={(event) => onLeave(event.currentTarget.value.trim())}
    />
  );
}
