import type { UIMessage } from "ai";
import { isUnfinished, type UseStoredChatResult } from "drizzle-chat-store/react";
import { Copy, GitFork, Pencil, RefreshCw, Trash2 } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";
import { chats } from "@/lib/chats";
import { Confirm, copy, IconButton, showError } from "./controls";
import { MessageBox } from "./message-box";
import { Parts } from "./parts";

export const articleIdOf = (messageId: string) => `message-${messageId}`;

export const isBusy = ({ status }: UseStoredChatResult) => status === "submitted" || status === "streaming";

const textOf = ({ parts }: UIMessage) =>
  parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");

interface MessageProps {
  chat: UseStoredChatResult;
  message: UIMessage;
  isEdited: boolean;
  onEdit: (isEdited: boolean) => void;
  onAsk: (text: string, messageId: string) => void;
  onOpen: (address: string) => void;
}

export function Message({ chat, message, isEdited, onEdit, onAsk, onOpen }: MessageProps) {
  const { id, role } = message;
  const [isDeleted, setIsDeleted] = useState(false);
  const [copyId] = useState(() => crypto.randomUUID());
  const index = chat.messages.findIndex((other) => other.id === id);
  const isLast = index === chat.messages.length - 1;
  const busy = isBusy(chat);

  /** Opens a copy of the chat that ends with this answer. */
  async function fork() {
    const title = `${chat.chat?.title || "Untitled"} (copy)`;
    try {
      await chats.fork(chat.id, { newId: copyId, throughMessageId: id, title });
    } catch (error) {
      // An earlier request has made the copy, and its response was lost.
      if ((error as { code?: string }).code !== "conflict") return showError(error as Error);
    }
    onOpen(`/?chatId=${copyId}`);
    toast("This is a copy. The other chat stays as it is.");
  }

  function deleteFromHere() {
    chats.deleteMessage(chat.id, id, { following: true }).then(() => {
      // The error may be about a question that is gone, and that the server never got.
      chat.clearError();
      chat.setMessages((messages) => messages.slice(0, index));
    }, showError);
  }

  return (
    <article id={articleIdOf(id)} aria-label={role === "user" ? "You said" : "Assistant"} className={`message ${role}`}>
      {isEdited ? (
        <Editor
          text={textOf(message)}
          following={chat.messages.length - 1 - index}
          onAsk={(text) => onAsk(text, id)}
          onCancel={() => onEdit(false)}
        />
      ) : (
        <>
          <Parts message={message} onApproval={chat.addToolApprovalResponse} />
          {role === "user" ? (
            <div className="actions">
              <IconButton label="Edit" icon={Pencil} disabled={busy} onClick={() => onEdit(true)} />
              <IconButton label="Delete from here" icon={Trash2} disabled={busy} onClick={() => setIsDeleted(true)} />
            </div>
          ) : (
            !(isLast && busy) && (
              <div className="actions">
                {isUnfinished(message) && (
                  <p className="quiet">
                    This answer is not complete.{" "}
                    {isLast && (
                      <button type="button" className="button" onClick={() => chat.regenerate()}>
                        Try again
                      </button>
                    )}
                  </p>
                )}
                <IconButton label="Copy" icon={Copy} onClick={() => copy(textOf(message))} />
                <IconButton label="Continue in a new chat" icon={GitFork} onClick={fork} />
                {isLast && <IconButton label="Regenerate" icon={RefreshCw} onClick={() => chat.regenerate()} />}
              </div>
            )
          )}
        </>
      )}
      {isDeleted && (
        <Confirm question="Delete from here?" onConfirm={deleteFromHere} onClose={() => setIsDeleted(false)}>
          This message and all that follow it will be gone.
        </Confirm>
      )}
    </article>
  );
}

interface EditorProps {
  text: string;
  /** How many messages follow the question. */
  following: number;
  onAsk: (text: string) => void;
  onCancel: () => void;
}

function Editor({ text, following, onAsk, onCancel }: EditorProps) {
  const [edited, setEdited] = useState(text);
  const warning =
    following === 1 ? "The message after it will be gone." : `${following} messages after it will be gone.`;
  return (
    <MessageBox
      label="Edit message"
      value={edited}
      autoFocus
      onFocus={({ currentTarget: { value }, currentTarget }) =>
        currentTarget.setSelectionRange(value.length, value.length)
      }
      onText={setEdited}
      onSend={() => onAsk(edited.trim())}
      onKeyDown={({ key }) => key === "Escape" && onCancel()}
    >
      {following > 0 && <p className="quiet">{warning}</p>}
      <button type="button" className="button" onClick={onCancel}>
        Cancel
      </button>
      <button type="submit" className="button primary" disabled={edited.trim() === ""}>
        Ask again
      </button>
    </MessageBox>
  );
}
