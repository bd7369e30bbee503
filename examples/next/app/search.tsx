import type { ChatSearch } from "drizzle-chat-store/client";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { chats } from "@/lib/chats";
import { ChatLink } from "./controls";
import { useHydrated } from "./message-box";

interface Found extends ChatSearch {
  query: string;
  error?: Error;
}

const nothing: Found = { query: "", matches: [], cursor: null };

async function find(query: string, options: Parameters<typeof chats.search>[1]): Promise<Found> {
  if (query === "") return nothing;
  return chats.search(query, options).then(
    (found) => ({ query, ...found }),
    (error: Error) => ({ ...nothing, query, error }),
  );
}

interface SearchProps {
  query: string;
  onQuery: (query: string) => void;
  onOpen: (address: string) => void;
}

/** In the titles and messages of all chats. */
export function Search({ query, onQuery, onOpen }: SearchProps) {
  const wanted = query.trim();
  const [found, setFound] = useState(nothing);
  const { matches, cursor, error } = found;
  const isDone = wanted !== "" && found.query === wanted;
  const search = useRef<HTMLElement>(null);
  const isHydrated = useHydrated();

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const look = async () => {
      const found = await find(wanted, { signal });
      if (!signal.aborted) setFound(found);
    };
    // Not at each key.
    const timer = setTimeout(look, wanted === "" ? 0 : 250);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [wanted]);

  async function searchOn() {
    const more = await find(found.query, { cursor: cursor ?? undefined });
    // The query may be another one by now.
    flushSync(() => setFound((now) => (now === found ? { ...more, matches: [...matches, ...more.matches] } : now)));
    const next = search.current?.querySelectorAll("a")[matches.length];
    (next ?? (more.cursor === null ? search.current?.querySelector("input") : null))?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    // Without a query, Escape closes the list on a phone.
    if (event.key === "Escape" && query !== "") onQuery("");
    else if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
    event.preventDefault();
    search.current?.querySelector<HTMLElement>(event.key === "Escape" ? "input" : "a")?.focus();
  }

  return (
    <search ref={search} className="search" onKeyDown={onKeyDown}>
      <input
        type="search"
        aria-label="Search chats"
        placeholder="Search"
        value={query}
        readOnly={!isHydrated}
        maxLength={255}
        autoComplete="off"
        onChange={(event) => onQuery(event.target.value)}
      />
      <p role="status">
        {isDone && !error && `${matches.length || "Nothing"} found${cursor === null ? "" : " so far"}.`}
      </p>
      {isDone && error && <p role="alert">{error.message}</p>}
      {wanted !== "" && matches.length > 0 && (
        <ul aria-label="Found" className="scroll">
          {matches.map(({ chat, messageId, excerpt }) => {
            const address = new URLSearchParams({ chatId: chat.id, ...(messageId && { message: messageId }) });
            const text = (
              <>
                {beginOf(excerpt.before)}
                <mark>{excerpt.match}</mark>
                {endOf(excerpt.after)}
              </>
            );
            return (
              <li key={`${address}`}>
                <ChatLink href={`/?${address}`} onOpen={onOpen}>
                  <strong dir="auto">{messageId ? chat.title || "Untitled" : text}</strong>
                  {messageId && <span dir="auto">{text}</span>}
                </ChatLink>
              </li>
            );
          })}
        </ul>
      )}
      {isDone && cursor !== null && (
        <button type="button" className="button" onClick={searchOn}>
          Search on
        </button>
      )}
    </search>
  );
}

// Excerpts have 60 characters on each side of the match: without the marks of Markdown, and with dots for the rest.
const plain = (text: string) => text.replace(/[*`|]+|#+ /g, "").replace(/\s+/g, " ");
const beginOf = (text: string) => (text.length < 60 ? plain(text) : plain(text).replace(/^\S*\s/, "… "));
const endOf = (text: string) => (text.length < 60 ? plain(text) : plain(text).replace(/\s\S*$/, " …"));
