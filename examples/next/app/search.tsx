import type { ChatSearch } from "drizzle-chat-store/client";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { addressOf, chats } from "@/lib/chats";
import { Button } from "./controls";

type Found = ChatSearch & { query: string; error?: Error };

const nothing: Found = { query: "", matches: [], cursor: null };

const find = (query: string, cursor?: string): Promise<Found> =>
  chats.search(query, { cursor }).then(
    (found) => ({ ...found, query }),
    (error) => ({ ...nothing, query, error }),
  );

/** In the titles and messages of all chats. */
export function Search({ query, onQuery }: { query: string | undefined; onQuery: (query: string) => void }) {
  const wanted = query?.trim() ?? "";
  const [found, setFound] = useState(nothing);
  const { matches, cursor, error } = found;
  const isDone = wanted !== "" && found.query === wanted;
  const search = useRef<HTMLElement>(null);
  const focus = (selector: string) => search.current?.querySelector<HTMLElement>(selector)?.focus();

  useEffect(() => {
    let isStale = false;
    const look = async () => {
      const found = wanted === "" ? nothing : await find(wanted);
      if (!isStale) setFound(found);
    };
    const timer = setTimeout(look, 250);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [wanted]);

  async function searchOn() {
    const more = await find(wanted, cursor ?? undefined);
    // The user may search for something else by now.
    setFound((now) => (now === found ? { ...more, matches: [...matches, ...more.matches] } : now));
    // The button may go.
    if (more.cursor === null) focus("input");
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && event.target instanceof HTMLInputElement) focus("a");
    // Without a query, Escape closes the drawer.
    if (event.key !== "Escape" || !query) return;
    event.preventDefault();
    onQuery("");
    focus("input");
  }

  return (
    <search ref={search} className="search" onKeyDown={onKeyDown}>
      <input
        type="search"
        aria-label="Search chats"
        placeholder="Search"
        value={query ?? ""}
        readOnly={query === undefined}
        maxLength={255}
        onChange={(event) => onQuery(event.target.value)}
      />
      <p role="status">{isDone && !error && `${matches.length || "Nothing"} found${cursor ? " so far" : ""}.`}</p>
      {isDone && error && <p role="alert">{error.message}</p>}
      {wanted !== "" && matches.length > 0 && (
        <ul aria-label="Found" className="scroll">
          {matches.map((match) => (
            <Match key={addressOf(match.chat.id, match.messageId)} {...match} />
          ))}
        </ul>
      )}
      {isDone && cursor && <Button label="Search on" onClick={searchOn} />}
    </search>
  );
}

function Match({ chat, messageId, excerpt }: ChatSearch["matches"][number]) {
  // An excerpt has 60 characters on each side of the match. Markdown's marks would be in the way.
  const before = excerpt.before.length < 60 ? excerpt.before : excerpt.before.replace(/^\S*\s/, "… ");
  const after = excerpt.after.length < 60 ? excerpt.after : excerpt.after.replace(/\s\S*$/, " …");
  const [begin, end] = [before, after].map((text) => text.replace(/[*`|]+|#+ /g, ""));
  const text = (
    <span dir="auto">
      {begin}
      <mark>{excerpt.match}</mark>
      {end}
    </span>
  );
  return (
    <li>
      <a href={addressOf(chat.id, messageId)}>
        {messageId && <strong dir="auto">{chat.title || "Untitled"}</strong>}
        {text}
      </a>
    </li>
  );
}
