import type { Chat } from "drizzle-chat-store";
import Link from "next/link";
import type { SubmitEventHandler } from "react";

interface SidebarProps {
  chats: Chat[];
  /** The one that is shown. */
  chatId: string;
  onNewChat: SubmitEventHandler;
}

export function Sidebar({ chats, chatId, onNewChat }: SidebarProps) {
  return (
    <aside className="sidebar">
      {/* Works before the page is interactive too: the server gives "/" a new chat. */}
      <form action="/" onSubmit={onNewChat}>
        <button type="submit" className="new-chat">
          New chat
        </button>
      </form>
      <nav aria-label="Chats">
        {chats.length > 0 && (
          <ul>
            {chats.map(({ id, title }) => (
              <li key={id}>
                <Link
                  href={`/?chatId=${encodeURIComponent(id)}`}
                  prefetch={false}
                  title={title}
                  aria-current={id === chatId ? "page" : undefined}
                >
                  {title || "Untitled"}
                </Link>
              </li>
            ))}
          </ul>
        )}
      </nav>
    </aside>
  );
}
