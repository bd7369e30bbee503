import type { ClientChat } from "drizzle-chat-store/client";
import { type UseChatsResult, useChats } from "drizzle-chat-store/react";
import { X } from "lucide-react";
import { type KeyboardEvent, useEffect, useState } from "react";
import { addressOf, chats, startNewChat } from "@/lib/chats";
import { Button, confirmDelete, LoadMore, Menu, notify, showError } from "./controls";
import { Search } from "./search";

/** Each with how many days ago it ends. */
const days = [
  ["Today", 0],
  ["Yesterday", 1],
  ["Previous 7 days", 7],
  ["Previous 30 days", 30],
  ["Older", Infinity],
] as const;

/** The list of chats: beside the conversation, and on a phone a drawer over it. */
export function Sidebar({ first, shownId }: { first: Record<"list" | "archive", ClientChat[]>; shownId: string }) {
  const list = useChats(chats, { chats: first.list });
  const archive = useChats(chats, { chats: first.archive, archived: true });
  // Undefined until React listens.
  const [query, setQuery] = useState<string>();
  useEffect(() => setQuery(""), []);

  // In UTC while the server renders, which does not know the reader's time zone.
  const zone = query === undefined ? 0 : new Date().getTimezoneOffset();
  const dayNumber = (date: Date) => Math.floor((date.getTime() / 60_000 - zone) / 1_440);
  const today = dayNumber(new Date());
  const dayOf = ({ updatedAt }: ClientChat) => days.find(([, most]) => today - dayNumber(updatedAt) <= most)?.[0];

  const itemsOf = (list: UseChatsResult, chats = list.chats) => (
    <ul>
      {chats.map((chat) => (
        <ChatItem key={chat.id} chat={chat} list={list} isShown={chat.id === shownId} />
      ))}
    </ul>
  );

  return (
    <nav id="chats" className="sidebar" aria-label="Chats" popover="auto" tabIndex={-1}>
      <div className="row">
        <Button label="New chat" onClick={startNewChat} />
        <Button className="close" label="Close" icon={X} popoverTarget="chats" />
      </div>
      <Search query={query} onQuery={setQuery} />
      <div className="scroll" hidden={Boolean(query?.trim())}>
        {days.map(([day]) => {
          const chats = list.chats.filter((chat) => dayOf(chat) === day);
          return (
            chats.length > 0 && (
              <section key={day}>
                <h2>{day}</h2>
                {itemsOf(list, chats)}
              </section>
            )
          );
        })}
        <LoadMore label="More chats" {...list} isLoading={list.isLoadingMore} load={list.loadMore} />
        {archive.chats.length > 0 && (
          <details
            open={archive.chats.some(({ id }) => id === shownId)}
            onToggle={({ currentTarget }) => currentTarget.open && currentTarget.scrollIntoView()}
          >
            <summary>Archived</summary>
            {itemsOf(archive)}
            <LoadMore label="More archived" {...archive} isLoading={archive.isLoadingMore} load={archive.loadMore} />
          </details>
        )}
      </div>
      <a className="foot" href="https://www.npmjs.com/package/drizzle-chat-store" target="_blank" rel="noreferrer">
        drizzle-chat-store example
      </a>
    </nav>
  );
}

/** The menu that had the focus goes. */
const focusList = () => document.getElementById("chats")?.focus();

function ChatItem({ chat, list, isShown }: { chat: ClientChat; list: UseChatsResult; isShown: boolean }) {
  const [isRenamed, setIsRenamed] = useState(false);
  const title = chat.title || "Untitled";

  function rename(written: string) {
    setIsRenamed(false);
    if (written !== "" && written !== title) list.update(chat.id, { title: written }).catch(showError);
  }

  function onTitleKey(event: KeyboardEvent<HTMLInputElement>) {
    // While an input method composes, the keys are its own.
    if (event.nativeEvent.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    // On a phone, Escape would close the list, too.
    event.preventDefault();
    if (event.key === "Escape") event.currentTarget.value = title;
    event.currentTarget.parentElement?.querySelector("button")?.focus();
  }

  function archive(archived: boolean) {
    focusList();
    const undo = () => void chats.update(chat.id, { archived: !archived }).catch(showError);
    const done = archived ? "Chat archived" : "Chat taken out of the archive";
    list
      .update(chat.id, { archived })
      .then(() => notify(done, { action: { label: "Undo", onClick: undo } }), showError);
  }

  async function remove() {
    if (!(await confirmDelete("Delete this chat?", `“${title}” will be gone, with all of its messages.`))) return;
    if (isShown) startNewChat();
    else focusList();
    await list.remove(chat.id).then(() => notify("Chat deleted"), showError);
  }

  return (
    <li className="row chat">
      {isRenamed ? (
        <input
          ref={(input) => input?.select()}
          aria-label="Title"
          defaultValue={title}
          maxLength={200}
          onKeyDown={onTitleKey}
          onBlur={(event) => rename(event.target.value.trim())}
        />
      ) : (
        <a href={addressOf(chat.id)} dir="auto" title={title} aria-current={isShown ? "page" : undefined}>
          {title}
        </a>
      )}
      <Menu label={`More: ${title}`}>
        <Button label="Rename" onClick={() => setIsRenamed(true)} />
        <Button label={chat.archivedAt ? "Unarchive" : "Archive"} onClick={() => archive(!chat.archivedAt)} />
        <Button label="Delete" className="danger" onClick={remove} />
      </Menu>
    </li>
  );
}
