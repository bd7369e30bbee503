"use client";

import { useChat } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { ChatRequestError } from "drizzle-chat-store/client";
import { useRouter } from "next/navigation";
import { memo, useEffect, useRef, useState } from "react";
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { chats } from "@/lib/chats";
import { Confirm, IconButton, icons } from "./controls";
import { articleIdOf, useFoundMessage } from "./found-message";
import { MessageForm } from "./message-form";
import { OlderMessages, useOlderMessages } from "./older-messages";

const suggestions = ["Why is it called PostgreSQL?", "And the elephant?", "How do I query my chats in SQL?"];

export interface ChatProps {
  id: string;
  title: string | undefined;
  /** The last messages as the server has them. */
  messages: UIMessage[];
  /** Whether there are more before these. */
  hasMore: boolean;
  /** Which version of the chat they are. Undefined for a chat that the server does not know yet. */
  version: number | undefined;
  /** The id of the message that somebody wants to see. */
  wantedId?: string | undefined;
  /** It is shown, or is not there any more. */
  onFound?: () => void;
}

export function Chat({ id, title, messages: stored, hasMore, version, wantedId, onFound }: ChatProps) {
  const router = useRouter();
  const box = useRef<HTMLTextAreaElement>(null);
  const log = useRef<HTMLDivElement>(null);
  const [editedId, setEditedId] = useState<string>();
  const [deletedId, setDeletedId] = useState<string>();
  const [forkFailed, setForkFailed] = useState(false);
  const copyIds = useRef(new Map<string, string>());
  // Of the time when these messages were shown first: later ones are what this page has asked for itself.
  const [transport] = useState(() => chats.transport({ version }));
  const [isNew] = useState(version === undefined);
  const { messages, setMessages, sendMessage, regenerate, status, error, clearError } = useChat({
    id,
    messages: stored,
    transport,
    resume: !isNew,
    throttle: 50,
  });
  const busy = status === "submitted" || status === "streaming";
  const older = useOlderMessages({ chatId: id, messages, setMessages, hasMore, busy });
  const { hasOlder, showLast } = older;
  const { markedId, unmark, isMissing } = useFoundMessage({ wantedId, older, onFound });

  // What another tab has changed is shown here, too. Not while an answer is on its way, of which the server has less than this page.
  const seenVersion = useRef(version);
  useEffect(() => {
    if (version === seenVersion.current) return;
    seenVersion.current = version;
    if (status !== "ready" || stored.at(-1)?.role === "user") return;
    showLast({ messages: stored, hasMore });
  }, [status, version, stored, hasMore, showLast]);

  useEffect(() => {
    if (isNew) box.current?.focus();
  }, [isNew]);

  function ask(text: string) {
    void sendMessage({ text });
    box.current?.focus();
  }

  async function stopAnswer() {
    // If the server does not respond, the page stops listening.
    await chats.stop(id).catch(() => {});
    box.current?.focus();
  }

  /** Opens a copy that ends with this answer. */
  async function fork(messageId: string) {
    const newId = copyIds.current.get(messageId) ?? crypto.randomUUID();
    copyIds.current.set(messageId, newId);
    const copied = await chats.fork(id, { newId, throughMessageId: messageId }).then(
      (copy) => copy !== null,
      // An earlier request has made the copy, and its response was lost.
      (error) => error instanceof ChatRequestError && error.code === "conflict",
    );
    setForkFailed(!copied);
    if (!copied) return;
    copyIds.current.delete(messageId);
    router.push(`/?chatId=${newId}`);
  }

  async function deleteFrom(messageId: string) {
    const changed = await chats.deleteMessage(id, messageId, { following: true }).catch(() => undefined);
    if (changed === undefined) return false;
    // Null: the question never reached the server. Its error is about a message that is gone.
    clearError();
    setMessages((messages) => {
      const index = messages.findIndex(({ id }) => id === messageId);
      return index === -1 ? messages : messages.slice(0, index);
    });
    return true;
  }

  function closeEditor() {
    setEditedId(undefined);
    box.current?.focus();
  }

  const isEmpty = messages.length === 0 && !hasOlder;

  return (
    <main>
      <title>{title || "Chat"}</title>
      <div className="scroll">
        <div className="column">
          <h1 className={isEmpty ? undefined : "visually-hidden"}>{title || "What would you like to know?"}</h1>
          {isEmpty && (
            <div className="suggestions">
              {suggestions.map((text) => (
                <button key={text} type="button" onClick={() => ask(text)}>
                  {text}
                </button>
              ))}
            </div>
          )}
          {hasOlder && (
            <OlderMessages
              state={older.state}
              onShow={() => older.showOlder()}
              onGone={() => log.current?.focus({ preventScroll: true })}
            />
          )}
          <p role="status" className="visually-hidden">
            {older.count > 0 && `${older.count} older messages are shown.`}
          </p>
          <div
            ref={log}
            role="log"
            aria-label="Conversation"
            // Nobody wants to have the older ones read out.
            aria-live={older.state === "loading" ? "off" : "polite"}
            aria-busy={busy}
            tabIndex={-1}
          >
            {messages.filter(isNotReplaced).map((message) => (
              <article
                key={message.id}
                id={articleIdOf(message.id)}
                aria-label={message.role}
                className={message.id === markedId ? `${message.role} found` : message.role}
                onAnimationEnd={unmark}
              >
                {message.id === editedId ? (
                  <MessageForm
                    label="Edit message"
                    text={textOf(message)}
                    onSend={(text) => {
                      closeEditor();
                      void sendMessage({ text, messageId: message.id });
                    }}
                    onCancel={closeEditor}
                  >
                    <button type="button" onClick={closeEditor}>
                      Cancel
                    </button>
                    <button type="submit">Save</button>
                  </MessageForm>
                ) : (
                  <>
                    <div className="text">
                      {message.role === "user" ? textOf(message) : <Answer>{textOf(message)}</Answer>}
                    </div>
                    <div className="actions">
                      {message.role === "user" ? (
                        <>
                          <IconButton
                            label="Edit"
                            icon={icons.edit}
                            disabled={busy}
                            onClick={() => setEditedId(message.id)}
                          />
                          <IconButton
                            label="Delete from here"
                            icon={icons.delete}
                            disabled={busy}
                            onClick={() => setDeletedId(message.id)}
                          />
                        </>
                      ) : (
                        <IconButton
                          label="Continue in a new chat"
                          icon={icons.fork}
                          // Not stored yet.
                          disabled={busy && message === messages.at(-1)}
                          onClick={() => fork(message.id)}
                        />
                      )}
                      {message === messages.at(-1) && !busy && (
                        <IconButton label="Regenerate" icon={icons.regenerate} onClick={() => regenerate()} />
                      )}
                    </div>
                  </>
                )}
              </article>
            ))}
          </div>
          {error && (
            <p role="alert">
              The answer is not complete.{" "}
              <button type="button" onClick={() => regenerate()}>
                Try again
              </button>
            </p>
          )}
          {forkFailed && <p role="alert">The chat could not be copied.</p>}
          {isMissing && <p role="alert">That message is not there any more.</p>}
          {deletedId && (
            <Confirm
              question="Delete from here?"
              onConfirm={() => deleteFrom(deletedId)}
              onDone={() => box.current?.focus()}
              onClose={() => setDeletedId(undefined)}
            >
              This message and all that follow it will be gone.
            </Confirm>
          )}
        </div>
      </div>
      <div className="column">
        <MessageForm label="Message" box={box} onSend={busy ? undefined : ask}>
          {status === "streaming" ? (
            <IconButton label="Stop" icon={icons.stop} onClick={stopAnswer} />
          ) : (
            <IconButton label="Send" icon={icons.send} type="submit" disabled={busy} />
          )}
        </MessageForm>
      </div>
    </main>
  );
}

/** No raw HTML, which is react-markdown's default; and no images, whose addresses could carry a chat's words away. */
const Answer = memo(function Answer({ children }: { children: string }) {
  return (
    <Markdown remarkPlugins={[remarkGfm]} disallowedElements={["img"]}>
      {children}
    </Markdown>
  );
});

/** A page that was loaded while an answer was generated anew has the old one, too, which the new one will replace. */
function isNotReplaced({ role }: UIMessage, index: number, messages: UIMessage[]): boolean {
  return role !== "assistant" || messages[index + 1]?.role !== "assistant";
}

function textOf({ parts }: UIMessage): string {
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}
