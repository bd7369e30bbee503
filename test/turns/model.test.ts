// Projects: main, thorough, tables, citus. Long: postgres.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore, Turn } from "../../src/index.ts";
import { windowOf } from "../support/conversations.ts";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";
import { seeded } from "../support/seed.ts";

/** What a person in one of several tabs, a model, or another writer does next. `which` chooses among what there is. */
type Step =
  | { does: "ask" | "notice" | "take the last away" | "make the chat anew" }
  | { does: "retry" | "regenerate" | "edit"; which: number }
  | { does: "answer"; which: number; says: "words" | "nothing" | "May I?" }
  | { does: "respond"; approved: boolean };

const which = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant("ask" as const) }) },
  { weight: 5, arbitrary: fc.record({ does: fc.constantFrom("retry", "regenerate", "edit"), which }) },
  {
    weight: 9,
    arbitrary: fc.record({
      does: fc.constant("answer" as const),
      which,
      says: fc.constantFrom("words", "words", "nothing", "May I?", "May I?"),
    }),
  },
  { weight: 5, arbitrary: fc.record({ does: fc.constant("respond" as const), approved: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constantFrom("notice", "take the last away") }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("make the chat anew" as const) }) },
);

type Approval = "requested" | "approved" | "denied" | "acted on" | "closed";
/** A message as a person sees it. */
interface Seen {
  id: string;
  role: "user" | "assistant";
  text: string;
  approval?: Approval;
}

/** What a person would expect of a conversation in which several turns are running. */
class Expected {
  messages: Seen[] = [];
  turns: { of: string; asked: string; answerId: string; replaces: string[] }[] = [];

  find = (id: string) => this.messages.find((message) => message.id === id);
  after = (id: string) => this.messages.slice(this.messages.findIndex((message) => message.id === id) + 1);
  /** Nothing that was asked for a message that is gone, or is asked anew, is answered any more. */
  supersede = (ids: string[]) => {
    this.turns = this.turns.filter(({ of }) => !ids.includes(of));
  };
  /** `loaded` are the messages before this one that the turn has seen. */
  begin(message: Seen, loaded: Seen[], answerId: string, replaces: string[] = []) {
    this.supersede([message.id]);
    // An approval on which nobody has acted is not acted on any more, once the conversation goes on after it.
    for (const earlier of loaded) {
      if (earlier.approval === "approved" || earlier.approval === "denied") earlier.approval = "closed";
    }
    const turn = { of: message.id, asked: message.text, answerId, replaces };
    this.turns.push(turn);
    return turn;
  }
  cut(ids: string[]) {
    this.messages = this.messages.filter(({ id }) => !ids.includes(id));
    this.supersede(ids);
  }
}

/** The parts that stand for what a person sees. */
function partsOf({ id, text, approval }: Seen): UIMessage["parts"] {
  const said = text ? [{ type: "text", text }] : [];
  if (!approval) return said as UIMessage["parts"];
  const call = { type: "tool-remove", toolCallId: id, input: {} };
  const given = (approved: boolean) => ({ ...call, state: "approval-responded", approval: { id, approved } });
  const call_ = {
    requested: { ...call, state: "approval-requested", approval: { id } },
    approved: given(true),
    denied: given(false),
    "acted on": { ...given(true), state: "output-available", output: "done" },
    closed: { ...given(true), state: "closed" },
  }[approval];
  return [call_, ...(text ? [{ type: "step-start" }, ...said] : [])] as UIMessage["parts"];
}
const messageOf = (seen: Seen): UIMessage => ({ id: seen.id, role: seen.role, parts: partsOf(seen) });

/** What a person sees of a stored message. */
function seen({ id, role, parts }: UIMessage): Seen {
  const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  const call = parts.find((part) => part.type === "tool-remove") as
    | { state: string; approval: { approved?: boolean } }
    | undefined;
  const approval = (
    {
      "approval-requested": "requested",
      "approval-responded": call?.approval.approved ? "approved" : "denied",
      "output-available": "acted on",
      "output-error": "closed",
      "output-denied": "closed",
    } as Record<string, Approval>
  )[call?.state ?? ""];
  return { id, role: role as Seen["role"], text, ...(approval && { approval }) };
}

seeded();

describe.each([...inModes(databases.slice(0, 2)), ...underRowLevelSecurity.slice(0, 1)])(
  "Turns on $name, $mode",
  ({ open, storeOn }) => {
    let database: TestDatabase;
    let store: ChatStore;
    beforeAll(async () => {
      database = await open();
      store = storeOn(database.db);
    });
    afterAll(() => database.close());

    test("any sequence of calls for people, models and other writers leaves the messages that a person expects", async () => {
      const sequence = fc.array(step, { minLength: 2, maxLength: 14 });
      const compare = fc.asyncProperty(sequence, fc.constantFrom(undefined, 1, 2, 10), async (steps, limit) => {
        const chatId = randomUUID();
        const ids = { userId: "u", chatId };
        let expected = new Expected();
        /** Every turn that was ever started, and what the model of it is, if it is still there. */
        const running: { turn: Turn; expected: Expected["turns"][number]; of: Seen }[] = [];
        let words = 0;

        for (const step of steps) {
          await take(step);
          const stored = (await store.getChat(ids))?.messages ?? [];
          expect(stored.map(seen)).toEqual(expected.messages);
        }

        async function take(step: Step): Promise<void> {
          switch (step.does) {
            case "ask": {
              const question: Seen = { id: randomUUID(), role: "user", text: `word ${words++}` };
              const turn = await start(question, { trigger: "submit-message" });
              expected.messages.push(question);
              return remember(turn, question, [], true);
            }
            case "retry": {
              const question = chosen(step.which, questions());
              if (!question) return;
              const [next] = expected.after(question.id);
              const asked = expected.turns.filter(({ of }) => of === question.id);
              const isAnswer =
                next?.role === "assistant" &&
                asked.every(({ answerId, replaces }) => answerId === next.id || replaces.includes(next.id));
              const turn = await start(question, { trigger: "submit-message" });
              return remember(turn, question, isAnswer ? [next.id] : []);
            }
            case "regenerate": {
              const question = chosen(step.which, questions());
              if (!question) return;
              const turn = await start(question, { trigger: "regenerate-message" });
              return remember(turn, question, idsOf(expected.after(question.id)));
            }
            case "edit": {
              const question = chosen(step.which, questions());
              if (!question) return;
              question.text = `word ${words++}`;
              const turn = await start(question, { trigger: "submit-message", messageId: question.id });
              expected.cut(idsOf(expected.after(question.id)));
              return remember(turn, question);
            }
            case "respond": {
              const last = expected.messages.at(-1);
              if (!last?.approval) return;
              // The tab has not seen what was said since.
              const answered: Seen = { ...last, text: "", approval: step.approved ? "approved" : "denied" };
              const isRunning = expected.turns.some(({ of }) => of === last.id);
              const isOpen =
                last.approval === "requested" || last.approval === "approved" || last.approval === "denied";
              const starting = start(answered);
              if (!isOpen || (last.approval !== "requested" && isRunning)) {
                return expect(starting).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
              }
              last.approval = answered.approval as Approval;
              return remember(await starting, last);
            }
            case "answer": {
              const chosenTurn = chosen(step.which, running);
              if (!chosenTurn) return;
              running.splice(running.indexOf(chosenTurn), 1);
              return answer(chosenTurn, step.says);
            }
            case "notice":
              expected.messages.push({ id: randomUUID(), role: "assistant", text: `notice ${words++}` });
              return write();
            case "take the last away":
              expected.messages.pop();
              return write();
            case "make the chat anew":
              await database.query("delete from chat_store.chats where id = $1", [chatId]);
              expected = new Expected();
          }
        }

        async function answer({ turn, expected: mine, of }: (typeof running)[number], says: string): Promise<void> {
          const isContinuation = of.role === "assistant";
          const text = says === "nothing" ? "" : `word ${words++}`;
          const id = turn.persist.generateMessageId();
          const reply: Seen = isContinuation
            ? { ...of, ...(text ? { text: of.text + text, approval: "acted on" as const } : {}) }
            : {
                id,
                role: "assistant",
                text,
                ...(says === "May I?" ? { text: "", approval: "requested" as const } : {}),
              };
          const ending = turn.persist.onEnd({ responseMessage: messageOf(reply) });

          const asked = expected.find(mine.of);
          const isCurrent = expected.turns.includes(mine);
          if (!isCurrent || !asked || (asked.role === "user" && asked.text !== mine.asked)) {
            return expect(ending).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
          }
          await ending;
          expected.turns.splice(expected.turns.indexOf(mine), 1);
          if (isContinuation) {
            if (text) Object.assign(asked, { text: reply.text, approval: "acted on" });
            return;
          }
          if (says === "nothing") return;
          expected.cut(mine.replaces.filter((replaced) => expected.after(asked.id).some(({ id }) => id === replaced)));
          expected.messages.splice(expected.messages.indexOf(asked) + 1, 0, reply);
        }

        function start(
          message: Seen,
          sent: { trigger?: "submit-message" | "regenerate-message"; messageId?: string } = {},
        ) {
          return store.startTurn({ ...ids, message: messageOf(message), limit, ...sent });
        }
        function remember(turn: Turn, message: Seen, replaces: string[] = [], isNew = false): void {
          const before = expected.messages.slice(0, expected.messages.indexOf(message));
          const all = [...before, message];
          const loaded = windowOf(isNew ? before : all, limit ?? all.length);
          const mine = expected.begin(
            message,
            loaded.filter((seen) => seen !== message),
            turn.persist.generateMessageId(),
            replaces,
          );
          running.push({ turn, expected: mine, of: { ...message } });
          expect(turn.messages.map(({ id }) => id)).toEqual(idsOf(windowOf(all, limit ?? all.length)));
        }
        async function write(): Promise<void> {
          const stored = (await store.getChat(ids))?.messages ?? [];
          const messages = expected.messages.map(
            (message) => stored.find(({ id }) => id === message.id) ?? messageOf(message),
          );
          await store.upsertChat({ ...ids, messages });
        }
        function questions() {
          return expected.messages.filter(({ role }) => role === "user");
        }
      });
      await fc.assert(compare, { numRuns: Number(process.env.MODEL_RUNS ?? 10) });
    }, 900_000);
  },
);

const chosen = <T>(which: number, among: T[]): T | undefined => among[which % Math.max(among.length, 1)];
const idsOf = (messages: Seen[]) => messages.map(({ id }) => id);
