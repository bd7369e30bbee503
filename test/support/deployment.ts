import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { expect } from "vitest";
import type { ChatDatabase, ChatStore, Turn } from "../../src/index.ts";
import { say } from "./conversations.ts";
import { eventually } from "./eventually.ts";

/** A version of the package, as far as it matters here. */
export interface Version {
  createChatStore(db: ChatDatabase): ChatStore;
  migrate(db: ChatDatabase): Promise<unknown>;
}

interface StoredId {
  chatId: string;
  id: string;
}

/** Processes of one version of the package: each migrates when it starts, and then serves until it is stopped. */
export function deploy(db: ChatDatabase, version: Version, count: number, shared: string) {
  const store = version.createChatStore(db);
  let isStopped = false;
  let requests = 0;
  /** Every message whose save has been confirmed, and that is not replaced afterwards. */
  const confirmed: StoredId[] = [];
  /** Every answer that was stored and then replaced by another. */
  const replaced: StoredId[] = [];

  async function serve() {
    await version.migrate(db);
    const mine = { userId: "u", chatId: randomUUID() };
    let messages = [say("user", "first")];
    await store.upsertChat({ ...mine, messages });
    while (!isStopped) {
      // One save at the end, one in the middle, and a turn in a chat where everybody asks.
      messages = [...messages.map((message) => ({ ...message, metadata: { seen: requests } })).slice(-20)];
      await store.upsertChat({ ...mine, messages });
      messages = [...messages, say("assistant", "more")];
      await store.upsertChat({ ...mine, messages });
      expect((await store.getChat(mine))?.messages).toEqual(messages);
      await store.getChats({ userId: "u", limit: 3 });

      const question = say("user", "question");
      const turn = await store.startTurn({ userId: "u", chatId: shared, message: question });
      const pieces = [`data: {"type":"start","messageId":"${turn.persist.generateMessageId()}"}\n\n`];
      await turn.consumeSseStream({ stream: ReadableStream.from(pieces) });
      confirmed.push({ chatId: shared, id: question.id }, { chatId: shared, id: await answer(turn) });
      await regenerate(say("user", "question"));
      requests++;
    }
    confirmed.push(...messages.map(({ id }) => ({ chatId: mine.chatId, id })));
  }

  /** In a chat of its own, a question whose answer is generated again. */
  async function regenerate(question: UIMessage) {
    const ids = { userId: "u", chatId: randomUUID() };
    const { chatId } = ids;
    const first = await answer(await store.startTurn({ ...ids, message: question }));
    const again = await store.startTurn({ ...ids, message: question, trigger: "regenerate-message" });
    confirmed.push({ chatId, id: question.id }, { chatId, id: await answer(again) });
    replaced.push({ chatId, id: first });
  }

  async function answer({ persist }: Turn): Promise<string> {
    const id = persist.generateMessageId();
    await persist.onEnd({ responseMessage: say("assistant", "answer", id) });
    return id;
  }

  const serving = Promise.all(Array.from({ length: count }, serve));
  return {
    confirmed,
    replaced,
    /** Resolves when they have done so many requests more. Rejects as soon as one of their calls has failed. */
    served: async (more: number) => {
      const target = requests + more;
      const failed = serving.then(() => expect.fail("stopped"));
      const reached = eventually(`${more} requests more are served`, () => requests >= target, { every: 5 });
      await Promise.race([failed, reached]);
    },
    stop: async () => {
      isStopped = true;
      await serving;
    },
  };
}
