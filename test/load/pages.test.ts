import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatConflictError, type ChatStore, createChatStore, InvalidChatError } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { openWith, pools, type TestDatabase } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";

const rounds = Number(process.env.LOAD_PAGES ?? (isLong ? 40 : 10));

describe.each(pools)("A long chat on $name", ({ connect }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await openWith(connect);
    store = createChatStore(database.db);
  });
  afterAll(() => database.close());

  test("a reader of all pages sees each lasting message once, in order, while eight writers append, cut and edit", async () => {
    const ids = { userId: "u", chatId: randomUUID() };
    await store.upsertChat({ ...ids, messages: conversation(600, 200) });
    // Each writer has some of the messages that come and go. All others stay, though one of them may be edited.
    const comesAndGoes = (id: string) => Number(id.slice(1)) % 5 === 3 || !id.startsWith("m");
    const stays = conversation(600)
      .filter(({ id }) => !comesAndGoes(id))
      .map(({ id }) => id);
    let isDone = false;
    const counts = { appended: 0, cut: 0, edited: 0, paged: 0, lost: 0 };
    const write = async (writer: number) => {
      for (let round = 0; !isDone; round++) {
        const number = (round * 8 + writer) % 600;
        if (comesAndGoes(`m${number}`)) {
          counts.cut += (await store.deleteMessage({ ...ids, messageId: `m${number}` })) ? 1 : 0;
        } else if (round % 3 === 0) {
          const turn = await store.startTurn({ ...ids, message: say("user", "And?", `${writer} ${round}`), limit: 4 });
          const answer = say("assistant", "So", turn.persist.generateMessageId());
          await turn.persist.onEnd({ responseMessage: answer }).catch((error: unknown) => {
            if (!ChatConflictError.isInstance(error)) throw error;
          });
          counts.appended++;
        } else {
          const role = number % 2 === 0 ? "user" : "assistant";
          await store.updateMessage({ ...ids, message: say(role, `edited in ${round}`, `m${number}`) });
          counts.edited++;
        }
      }
    };
    const writers = Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
    try {
      // However slow the writers are.
      const haveWritten = () => Math.min(counts.appended, counts.cut, counts.edited) > 10;
      for (let round = 0; round < rounds || !haveWritten(); round++) {
        const shown: string[] = [];
        for (let before: string | undefined; ; ) {
          const page = await store.getMessages({ ...ids, limit: 7, before }).catch((error: unknown) => {
            if (!InvalidChatError.isInstance(error)) throw error;
          });
          // The first message of a page was cut: start again.
          if (!page) {
            counts.lost++;
            shown.length = 0;
            before = undefined;
            continue;
          }
          if (page.hasMore) expect(page.messages).toHaveLength(7);
          else expect(page.messages.length).toBeLessThanOrEqual(7);
          shown.unshift(...page.messages.map(({ id }) => id));
          if (!page.hasMore) break;
          before = page.messages[0]?.id;
        }
        expect(new Set(shown).size).toBe(shown.length);
        expect(shown.filter((id) => stays.includes(id))).toEqual(stays);
        counts.paged++;
      }
    } finally {
      isDone = true;
    }
    await writers;
    console.log(JSON.stringify(counts));
  });
});
