import { useRouter } from "next/navigation";
import { useCallback, useEffect } from "react";

const channelName = "chats";

/** Reads the list and the chat again, here and in this browser's other tabs. */
export function useRefresh(): () => void {
  const router = useRouter();
  return useCallback(() => {
    router.refresh();
    const channel = new BroadcastChannel(channelName);
    channel.postMessage("changed");
    channel.close();
  }, [router]);
}

/** Shows what another tab has changed at once, and what another device has when one comes back to this page. */
export function useOtherTabs(): void {
  const router = useRouter();
  useEffect(() => {
    const refresh = () => router.refresh();
    const channel = new BroadcastChannel(channelName);
    channel.addEventListener("message", refresh);
    window.addEventListener("focus", refresh);
    return () => {
      channel.close();
      window.removeEventListener("focus", refresh);
    };
  }, [router]);
}

/** Changes something on the server, and shows what is there then. Resolves to whether it worked. */
export function useChange() {
  const refresh = useRefresh();
  return useCallback(
    async (method: "PATCH" | "POST" | "DELETE", url: string, body?: object): Promise<boolean> => {
      const response = await fetch(url, {
        method,
        headers: { "content-type": "application/json" },
        body: body ? JSON.stringify(body) : null,
      }).catch(() => undefined);
      refresh();
      // What is gone already need not be deleted.
      return response !== undefined && (response.ok || (method === "DELETE" && response.status === 404));
    },
    [refresh],
  );
}
