import { lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { isUnfinished, type StoredChatPage, type UseStoredChatResult, useStoredChat } from "drizzle-chat-store/react";
import { ArrowDown, ArrowUp, PanelLeft, Square, SquarePen } from "lucide-react";
import { type KeyboardEvent, useEffect, useEffectEvent, useRef, useState } from "react";
import { addressOf, chats, startNewChat } from "@/lib/chats";
import { Button, LoadMore, notify } from "./controls";
import { Message } from "./message";
import { isTouched, MessageBox, useDraft } from "./message-box";

const suggestions = [
  "Book a table for two",
  "Compare Postgres and SQLite",
  "Query my chats in SQL",
  "What is 17 times 24?",
];

interface ConversationProps {
  id: string;
  /** Undefined if the hook has to load the chat; null if it is new. */
  page: StoredChatPage | null | undefined;
  /** The message that the search has found. */
  wantedId: string | null;
}

export function Conversation({ id, page, wantedId }: ConversationProps) {
  const sendAutomaticallyWhen = lastAssistantMessageIsCompleteWithApprovalResponses;
  const pageSize = wantedId ? 500 : 30;
  const chat = useStoredChat(chats, { id, page, pageSize, throttle: 50, sendAutomaticallyWhen });
  const { messages, status, hasMore, isLoadingOlder, loadOlder, loadStatus, loadError } = chat;
  const isBusy = status === "submitted" || status === "streaming";
  const isLoaded = loadStatus === "loaded" || loadStatus === "missing";
  const isEmpty = isLoaded && messages.length === 0 && !hasMore;
  const title = chat.chat?.title || (isEmpty ? "What would you like to know?" : "Untitled");

  const scroll = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const [draft, setDraft] = useDraft(id);
  const [editedId, setEditedId] = useState<string>();
  const [isUp, setIsUp] = useState(false);
  const canSend = isLoaded && !isBusy && Boolean(draft?.trim());

  const scrollToEnd = () => scroll.current?.scrollTo({ top: 0 });
  const focusBox = () => isTouched() || box.current?.focus();

  function ask(text: string, messageId?: string) {
    void chat.sendMessage({ text, ...(messageId && { messageId }) });
    edit();
    scrollToEnd();
  }

  function send() {
    if (!canSend) return;
    ask(draft?.trim() ?? "");
    setDraft("");
  }

  function edit(messageId?: string) {
    setEditedId(messageId);
    if (!messageId) focusBox();
  }

  function editLast(event: KeyboardEvent) {
    if (event.key !== "ArrowUp" || draft !== "" || isBusy) return;
    event.preventDefault();
    edit(messages.findLast(({ role }) => role === "user")?.id);
  }

  const isSettled = isLoaded && !isLoadingOlder;
  const goToWanted = useEffectEvent(() => {
    const article = document.getElementById(`message-${wantedId}`);
    if (!article && hasMore && !loadError) return void loadOlder();
    if (!article) notify("That message is not there any more.");
    article?.scrollIntoView({ block: "center" });
    article?.setAttribute("tabindex", "-1");
    article?.focus({ preventScroll: true });
    article?.animate([{ boxShadow: "0 0 0 0.4rem var(--found)" }, {}], { duration: 3_000, easing: "ease-in" });
    // A reload leads to the end of the chat.
    window.history.replaceState(null, "", addressOf(id));
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: Again when older messages have come.
  useEffect(() => (wantedId && isSettled ? goToWanted() : undefined), [wantedId, isSettled, messages[0]?.id]);
  const focusAtFirst = useEffectEvent(() => wantedId || focusBox());
  useEffect(() => void focusAtFirst(), []);

  const wasStored = useRef(false);
  useEffect(() => {
    if (wasStored.current && !chat.chat) notify("This chat was deleted.");
    wasStored.current = chat.chat !== null;
  }, [chat.chat]);

  return (
    <main className={isEmpty ? "conversation empty" : "conversation"}>
      <title>{isEmpty ? "New chat" : title.length > 60 ? `${title.slice(0, 60).trim()}…` : title}</title>
      <header className="row">
        <Button label="Chats" icon={PanelLeft} popoverTarget="chats" />
        <span dir="auto">{!isEmpty && title}</span>
        <Button label="New chat" icon={SquarePen} onClick={startNewChat} />
      </header>
      <div ref={scroll} className="scroll" onScroll={(event) => setIsUp(event.currentTarget.scrollTop < -200)}>
        <div className="column">
          <h1 dir="auto">{title}</h1>
          {isEmpty && (
            <div className="welcome">
              <p>Every chat here survives a reload, a second tab, and a server that is killed in mid-answer.</p>
              {suggestions.map((text) => (
                <Button key={text} label={text} onClick={() => ask(text)} />
              ))}
            </div>
          )}
          <LoadMore label="Show older messages" {...chat} isLoading={isLoadingOlder} load={loadOlder} />
          {/* Not polite while older messages come: they are not news. */}
          <div
            role="log"
            aria-label="Conversation"
            aria-live={isLoadingOlder ? "off" : "polite"}
            aria-busy={isBusy}
            tabIndex={-1}
          >
            {/* Other versions of an answer, which have other ids, take its place: the focus stays on the button. */}
            {messages.map((message, index) => (
              <Message
                key={message.role === "user" ? message.id : `answer to ${messages[index - 1]?.id}`}
                isEdited={message.id === editedId && !isBusy}
                {...{ chat, message, isBusy }}
                onEdit={edit}
                onAsk={ask}
              />
            ))}
          </div>
          <Problem chat={chat} />
        </div>
      </div>
      <div className="column">
        {isUp && <Button className="jump" label="Jump to the latest" icon={ArrowDown} onClick={scrollToEnd} />}
        <MessageBox
          label="Message"
          ref={box}
          value={draft ?? ""}
          readOnly={draft === undefined}
          onText={setDraft}
          onSend={send}
          onKeyDown={editLast}
        >
          {isBusy ? (
            <Button label="Stop" icon={Square} onClick={() => chat.stop().catch(focusBox).then(focusBox)} />
          ) : (
            <Button label="Send" icon={ArrowUp} type="submit" disabled={!canSend} />
          )}
        </MessageBox>
      </div>
    </main>
  );
}

/** What is wrong, in the words of the server, and a button where it can help. */
function Problem({ chat }: { chat: UseStoredChatResult }) {
  const { error, loadStatus, loadError, messages, regenerate, reload } = chat;
  const last = messages.at(-1);
  if (loadStatus === "loading") return <p role="status">Opening the chat…</p>;
  // Without an answer, the question may not have been sent.
  if (chat.isReconnecting && last?.role === "assistant")
    return <p role="status">Connection lost. Joining the answer again…</p>;
  // The message says it.
  if (last && isUnfinished(last)) return null;
  const problem = loadStatus === "failed" ? loadError : error;
  if (!problem) return null;
  const tryAgain = () => void (problem === error ? regenerate() : reload());
  return (
    <p role="alert">
      {problem.message}
      {problem.isRetryable !== false && <Button label="Try again" onClick={tryAgain} />}
    </p>
  );
}
