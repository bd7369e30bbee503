/** What a page may want to react to, such as by loading its list of chats again. */
export type ChatEvent =
  | {
      /** `turn`: a question was stored, or its answer has ended. The others: the chat, or a message of it. */
      type: "turn" | "updated" | "deleted" | "forked" | "message-deleted" | "branch-switched";
      chatId: string;
      /** Whether this client has made the change, or another tab of this browser. */
      isOwn: boolean;
      /** Of a turn: its answer has ended. Each tab that has received the answer tells so. */
      hasEnded?: true;
    }
  /** The page is visible again, or the browser is online again: something may have changed meanwhile. */
  | { type: "visible" | "online" };

/** A change that a client has made. */
export type OwnChange = Pick<Extract<ChatEvent, { isOwn: boolean }>, "type" | "chatId" | "hasEnded">;

export interface ChatEvents {
  /** Tells the listeners of this client, and the other tabs. */
  publish(change: OwnChange): void;
  /** Returns a function that ends the subscription. */
  subscribe(listener: (event: ChatEvent) => void): () => void;
}

/** The parts of a browser's page that are missing on a server. */
interface Page {
  document?: EventTarget & { visibilityState: string };
  addEventListener?: EventTarget["addEventListener"];
  removeEventListener?: EventTarget["removeEventListener"];
}

/** @param channelName - the same in all tabs whose clients use the same handler. */
export function createChatEvents(channelName: string): ChatEvents {
  const listeners = new Set<(event: ChatEvent) => void>();
  let stopListening: (() => void) | undefined;
  let channel: ReturnType<typeof openChannel>;

  function tell(event: ChatEvent): void {
    // A copy: a listener that subscribes again would otherwise hear of the same event for ever.
    for (const listener of [...listeners]) {
      try {
        if (listeners.has(listener)) listener(event);
      } catch (error) {
        // The other listeners still hear of the event.
        console.error(error);
      }
    }
  }

  function listen(): () => void {
    const page = globalThis as Page;
    const onVisible = () => page.document?.visibilityState === "visible" && tell({ type: "visible" });
    const onOnline = () => tell({ type: "online" });
    const opened = openChannel(channelName);
    opened?.addEventListener("message", (event) => {
      const { data } = event as Event & { data: OwnChange };
      tell({ ...data, isOwn: false });
    });
    channel = opened;
    page.document?.addEventListener("visibilitychange", onVisible);
    page.addEventListener?.("online", onOnline);
    return () => {
      opened?.close();
      channel = undefined;
      page.document?.removeEventListener("visibilitychange", onVisible);
      page.removeEventListener?.("online", onOnline);
    };
  }

  return {
    publish(change) {
      tell({ ...change, isOwn: true });
      // Without listeners, no channel stays open, which would keep a process of Node alive.
      const sender = channel ?? openChannel(channelName);
      sender?.postMessage(change);
      if (sender !== channel) sender?.close();
    },

    subscribe(listener) {
      // A function of its own, so that the same listener can be subscribed twice.
      const own = (event: ChatEvent) => listener(event);
      listeners.add(own);
      stopListening ??= listen();
      return () => {
        listeners.delete(own);
        if (listeners.size > 0) return;
        stopListening?.();
        stopListening = undefined;
      };
    },
  };
}

/** Undefined where there are no tabs, and where the browser forbids it, as Firefox does without cookies. */
function openChannel(name: string) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return undefined;
  }
}
