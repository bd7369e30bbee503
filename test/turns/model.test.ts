// Projects: main, thorough, tables, citus. Long: postgres.
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore, Turn } from "../../src/index.ts";
import { windowOf } from "../support/conversations.ts";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import {
  approvalOf,
  approved,
  denied,
  Expected,
  type ExpectedTurn,
  idsOf,
  line,
  type Meaning,
  requested,
  respondedTo,
  type Said,
  type Seen,
  saysNothing,
} from "../support/expected-conversation.ts";
import { faultyDatabase } from "../support/faulty-database.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";
import { seeded } from "../support/seed.ts";
import { continuationOf, type Edit, edited, messageOf, responseTo, seen, streamOf } from "../support/seen-messages.ts";

const says = ["words", "nothing", "May I?"] as const;
type Says = (typeof says)[number];
type Fault = "before" | "after" | undefined;
type Editor = "updateMessage" | "upsertChat" | "upsertChat with after";

/** What a person in one of several tabs, a model, or another writer does next. `which` chooses among what there is. */
type Step =
  | { does: "ask" | "notice" | "take the last away" | "make the chat anew" | "claim the chat" | "load the page" }
  | { does: "retry" | "regenerate" | "edit" | "come back" | "fail"; which: number }
  | { does: "answer again"; which: number; fault: Fault }
  | { does: "change"; which: number; how: Edit; by: Editor }
  | { does: "delete"; which: number; following: boolean }
  | { does: "answer"; which: number; says: Says; fault: Fault }
  | { does: "die"; which: number; says: Says }
  | { does: "respond"; isApproved: boolean };

/** Mostly the newest. */
const which = fc.oneof(fc.constant(0), fc.nat(20));
const fault = fc.constantFrom<Fault[]>(undefined, undefined, undefined, "before", "after");
const does = <Name extends string>(...names: Name[]) => fc.constantFrom(...names);
const changing: fc.Arbitrary<Step> = fc.record({
  does: does("change"),
  which,
  how: fc.constantFrom<Edit[]>("other words", "more words", "fewer words", "a rating"),
  by: fc.constantFrom<Editor[]>("updateMessage", "upsertChat", "upsertChat with after"),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: does("ask") }) },
  { weight: 5, arbitrary: fc.record({ does: does("retry", "regenerate", "edit"), which }) },
  {
    weight: 9,
    arbitrary: fc.record({ does: does("answer"), which, says: fc.constantFrom(...says, "words", "May I?"), fault }),
  },
  { weight: 6, arbitrary: fc.record({ does: does("die"), which, says: fc.constantFrom(...says, "words") }) },
  { weight: 5, arbitrary: fc.record({ does: does("respond"), isApproved: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ does: does("answer again"), which, fault }) },
  { weight: 2, arbitrary: fc.record({ does: does("come back", "fail"), which }) },
  { weight: 3, arbitrary: changing },
  { weight: 1, arbitrary: fc.record({ does: does("delete"), which, following: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ does: does("load the page", "load the page", "notice", "take the last away") }) },
  { weight: 1, arbitrary: fc.record({ does: does("make the chat anew", "claim the chat", "claim the chat") }) },
);

const just = (step: Step) => fc.constant(step);
const asking = just({ does: "ask" });
const requesting = just({ does: "answer", which: 0, says: "May I?", fault: undefined });
const approving = just({ does: "respond", isApproved: true });
const dying = just({ does: "die", which: 0, says: "words" });
const loading = just({ does: "load the page" });
const answering = just({ does: "answer", which: 0, says: "words", fault: undefined });
const oneOfTwo = fc.constantFrom(0, 1);
const regenerating = fc.record({ does: does("regenerate"), which: oneOfTwo });
const endingOne = oneOfTwo.map((which): Step => ({ does: "answer", which, says: "words", fault: undefined }));
/**
 * What comes about too seldom by itself: an approval that is acted on, a turn that dies, with what happens to its answer then, and one that
 * removes what another answers.
 */
const steps = fc.oneof(
  { weight: 16, arbitrary: fc.tuple(step) },
  { weight: 1, arbitrary: fc.tuple(asking, requesting, approving, step) },
  { weight: 1, arbitrary: fc.tuple(asking, requesting, approving, changing, dying, loading, answering) },
  { weight: 1, arbitrary: fc.tuple(dying, loading, step, answering) },
  { weight: 1, arbitrary: fc.tuple(asking, dying, loading, changing, answering) },
  {
    weight: 1,
    arbitrary: fc.tuple(asking, answering, asking, regenerating, fc.oneof(regenerating, step), endingOne, endingOne),
  },
);

/** A turn that was started, and all that is known of it outside the database. */
interface Begun {
  turn: Turn;
  expected: ExpectedTurn;
  /** What its onEnd was called with. */
  said?: Said;
  isRecorded?: boolean;
  /** Its onEnd has succeeded, or failed because the connection broke. */
  hasEnded?: boolean;
  hasFailed?: boolean;
  /** What is stored of it though its onEnd has failed: the connection broke afterwards. */
  lost?: Seen | "nothing";
  /** Another user claimed the chat when the turn was over. It cannot see the chat any more. */
  isOutside?: boolean;
}

seeded();

describe.each([...inModes(databases.slice(0, 2)), ...underRowLevelSecurity.slice(0, 1)])(
  "Turns on $name, $mode",
  ({ open, storeOn }) => {
    let database: TestDatabase;
    let faulty: ReturnType<typeof faultyDatabase>;
    let store: ChatStore;
    beforeAll(async () => {
      database = await open();
      faulty = faultyDatabase(database.db);
      store = storeOn(faulty.db);
    });
    afterAll(() => database.close());

    test("any sequence of calls for people, models and other writers leaves the messages that a person expects", async () => {
      const sequence = fc.array(steps, { minLength: 2, maxLength: 14 }).map((steps) => steps.flat());
      const compare = fc.asyncProperty(sequence, fc.constantFrom(undefined, 1, 2, 10), async (steps, limit) => {
        const chatId = randomUUID();
        let owner = `1st owner of ${chatId}`;
        let expected = new Expected();
        const begun: Begun[] = [];
        let words = 0;
        const ids = () => ({ userId: owner, chatId });
        const load = async () => (await store.getChat(ids()))?.messages ?? [];

        for (const step of steps) {
          await take(step);
          expect((await load()).map(seen)).toEqual(expected.messages);
        }

        async function take(step: Step): Promise<unknown> {
          switch (step.does) {
            case "ask":
              return ask({ id: randomUUID(), role: "user", says: [`word ${words++}`] }, "ask");
            case "retry":
            case "regenerate":
            case "edit": {
              const question = chosen(
                step.which,
                expected.messages.filter(({ role }) => role === "user"),
              );
              if (!question) return;
              return ask(step.does === "edit" ? { ...question, says: [`word ${words++}`] } : question, step.does);
            }
            case "respond":
              return respond(step.isApproved);
            case "answer": {
              const one = chosen(
                step.which,
                begun.filter(({ said }) => !said),
              );
              return one && end(one, wholeAnswer(one.expected, step.says), step.fault);
            }
            case "answer again": {
              const one = chosen(
                step.which,
                begun.filter(({ said }) => said),
              );
              return one?.said && end(one, one.said, step.fault);
            }
            case "die":
              return die(step);
            case "come back":
              return comeBack(step.which);
            case "fail": {
              const one = chosen(step.which, begun);
              await one?.turn.fail();
              return one && expected.drop(one.expected);
            }
            case "load the page":
              return loadPage();
            case "change": {
              const message = chosen(step.which, await load());
              return message && change(edited(message, step.how, words++), step.by);
            }
            case "delete": {
              const message = chosen(step.which, expected.messages);
              if (!message) return;
              await store.deleteMessage({ ...ids(), messageId: message.id, following: step.following });
              const removed = [message.id, ...(step.following ? idsOf(expected.after(message.id)) : [])];
              expected.remove(removed);
              return expected.forget(removed);
            }
            case "notice":
              expected.put({ id: randomUUID(), role: "assistant", says: [`notice ${words++}`] });
              return save();
            case "take the last away":
              expected.remove(idsOf(expected.messages.slice(-1)));
              return save();
            case "claim the chat": {
              const next = `owner ${words++} of ${chatId}`;
              await store.claimChats({ fromUserId: owner, userId: next });
              owner = next;
              for (const one of begun) one.isOutside ||= !expected.turns.includes(one.expected);
              return;
            }
            case "make the chat anew":
              await database.query("delete from chat_store.chats where id = $1", [chatId]);
              expected = new Expected();
          }
        }

        async function ask(question: Seen, meaning: Meaning) {
          const trigger = meaning === "regenerate" ? "regenerate-message" : "submit-message";
          const messageId = meaning === "edit" ? question.id : undefined;
          const request = { ...ids(), message: messageOf(question), limit, trigger, messageId } as const;
          const turn = await store.startTurn(request);
          const readsAll = expected.hasDead();
          expected.recover();
          const isNew = !expected.find(question.id);
          const replaces = expected.place(question, meaning);
          begin(turn, question.id, replaces, { isNew, readsAll });
        }

        async function respond(isApproved: boolean) {
          const last = (await load()).at(-1);
          if (!last || !approvalOf(seen(last))) return;
          const starting = store.startTurn({ ...ids(), message: responseTo(last, isApproved), limit });
          const readsAll = expected.hasDead();
          const undo = expected.recover();
          const found = expected.find(last.id);
          const approval = found && approvalOf(found);
          const isOpen = [requested, approved, denied].includes(approval ?? "");
          if (!found || !isOpen || (approval !== requested && expected.isBeingContinued(found.id))) {
            await expect(starting).rejects.toMatchObject({ code: found ? "CHAT_CONFLICT" : "INVALID_CHAT" });
            // Where a call is a transaction, what it has recovered goes with it.
            if (await hasDead()) undo();
            return;
          }
          const turn = await starting;
          expected.put(respondedTo(found, isApproved ? approved : denied));
          begin(turn, found.id, [], { isNew: false, readsAll });
        }

        function begin(turn: Turn, askedId: string, replaces: readonly string[], { isNew = false, readsAll = false }) {
          const asked = expected.find(askedId) as Seen;
          const before = expected.messages.slice(0, expected.messages.indexOf(asked));
          const all = [...before, asked];
          expect(turn.messages.map(({ id }) => id)).toEqual(idsOf(windowOf(all, limit ?? all.length)));
          const toldBefore = turn.messages.slice(0, -1).map((message) => approvalOf(seen(message)));
          expect(toldBefore.filter((approval) => approval === approved || approval === denied)).toEqual([]);

          const read = readsAll ? before : (isNew ? before : all).slice(-(limit ?? all.length));
          const readBefore = idsOf(read).filter((id) => id !== askedId);
          const mine = expected.begin(asked, turn.persist.generateMessageId(), replaces, readBefore);
          begun.push({ turn, expected: mine });
        }

        /** What a turn says from its beginning on, of which its recording may have the beginning. */
        function wholeAnswer({ asked, recorded }: ExpectedTurn, says: Says): Said {
          const hasBegun = !saysNothing(recorded);
          if (recorded.says.includes(requested) || (hasBegun && says === "nothing")) return recorded;
          const beginning = hasBegun ? recorded.says[1] : undefined;
          const text = beginning ? `${beginning} and more` : says === "nothing" ? "" : `word ${words++}`;
          if (asked.role === "user")
            return { acted: false, says: [line, text, ...(says === "May I?" ? [requested] : [])] };
          // A tool that has run may be all.
          return { acted: says !== "nothing", says: says === "May I?" && !beginning ? [] : [line, text] };
        }
        function responseOf({ turn, expected: { asked, answerId } }: Begun, said: Said): UIMessage {
          if (asked.role === "user") return messageOf({ id: answerId, role: "assistant", says: said.says });
          return continuationOf(turn.messages.at(-1) as UIMessage, said);
        }

        async function end(one: Begun, said: Said, fault: Fault): Promise<void> {
          const { turn, expected: mine } = one;
          const responseMessage = responseOf(one, said);
          one.said = said;
          const outcome = await faulty.failing(fault, () => outcomeOf(turn.persist.onEnd({ responseMessage })));
          const outcomes =
            fault && !one.hasEnded ? ["QUERY_FAILED", "CHAT_CONFLICT"] : outcomesOf(one, responseMessage);
          expect(outcomes, "onEnd").toContain(outcome);
          one.hasEnded ||= outcome === "stored";
          one.hasFailed ||= fault !== undefined;
          if (!expected.turns.includes(mine)) return;
          const isLost = fault === "after" && !(await isMarked(mine));
          if (outcome === "stored" || isLost) {
            expect(expected.isWanted(mine), "the answer is wanted").toBe(true);
            expected.end(mine, said);
          } else if (outcome === "QUERY_FAILED" && one.isRecorded) markDead(mine);
          if (isLost) one.lost = expected.find(mine.answerId) ?? "nothing";
        }
        /** How onEnd may come out while the connection holds. */
        function outcomesOf(one: Begun, response: UIMessage): string[] {
          if (one.hasEnded || expected.isWanted(one.expected)) return ["stored"];
          if (expected.turns.includes(one.expected)) return ["CHAT_CONFLICT"];
          const stored = expected.find(response.id);
          // An answer that says nothing is stored as it ought to be, however its turn has ended.
          if (one.hasFailed && one.said && saysNothing(one.said)) return ["stored", "CHAT_CONFLICT"];
          if (one.isOutside || !stored) return ["CHAT_CONFLICT"];
          if (one.lost) return [isDeepStrictEqual(stored, one.lost) ? "stored" : "CHAT_CONFLICT"];
          return isDeepStrictEqual(stored, seen(response)) ? ["stored", "CHAT_CONFLICT"] : ["CHAT_CONFLICT"];
        }

        /** The process of a turn dies when it has said something, or once more. */
        async function die(step: { which: number; says: Says }): Promise<void> {
          const one = chosen(
            step.which,
            begun.filter(({ said, isRecorded }) => isRecorded || !said),
          );
          if (!one) return;
          const { turn, expected: mine } = one;
          if (!one.isRecorded) {
            one.isRecorded = true;
            mine.recorded = wholeAnswer(mine, step.says);
            const stream = streamOf(mine.answerId, mine.recorded, approvalOf(mine.asked) === approved);
            await turn.consumeSseStream({ stream });
          }
          await database.query(
            "update chat_store.turns set beat_at = 'epoch' where chat_id = $1 and answer_id = $2 and chunks > 0 and ended_at is null",
            [chatId, mine.answerId],
          );
          if (expected.turns.includes(mine)) markDead(mine);
        }
        function markDead(turn: ExpectedTurn): void {
          if (!turn.isDead) Object.assign(turn, { isDead: true, isInterrupted: false });
        }
        /** It was only slow: its next heartbeat does this. */
        async function comeBack(which: number): Promise<void> {
          const mine = chosen(
            which,
            expected.turns.filter(({ isDead }) => isDead),
          );
          if (!mine) return;
          await database.query(
            `update chat_store.turns set beat_at = now(), ended_at = null, interrupted = false where ${isOf} and chunks > 0`,
            [chatId, mine.asked.id, mine.answerId],
          );
          Object.assign(mine, { isDead: false, isInterrupted: false });
        }
        async function isMarked({ asked, answerId }: ExpectedTurn): Promise<boolean> {
          const values = [chatId, asked.id, answerId];
          return (await database.query(`select 1 from chat_store.turns where ${isOf}`, values)).length > 0;
        }
        async function hasDead(): Promise<boolean> {
          const text =
            "select 1 from chat_store.turns where chat_id = $1 and beat_at = 'epoch' and ended_at is null and not superseded";
          return (await database.query(text, [chatId])).length > 0;
        }

        /** The page shows the newest turn that runs. If that one is dead, all that are become answers. */
        async function loadPage(): Promise<void> {
          const newest = expected.turns.findLast(({ isInterrupted }) => !isInterrupted);
          const stream = await store.resumeTurn(ids());
          if (newest && !newest.isDead) expect(stream).not.toBeNull();
          await stream?.cancel();
          if (newest?.isDead) expected.recover();
        }

        async function change(message: UIMessage, by: Editor): Promise<void> {
          const stored = await load();
          const at = stored.findIndex(({ id }) => id === message.id);
          const messages = stored.with(at, message);
          if (isDeepStrictEqual(stored, messages)) return;
          expected.put(seen(message));
          if (by === "updateMessage") {
            await store.updateMessage({ ...ids(), message });
            return expected.forget([message.id]);
          }
          const isAfter = by === "upsertChat with after" && at > 0;
          const part = isAfter ? { after: messages[at - 1]?.id as string, messages: messages.slice(at) } : { messages };
          await store.upsertChat({ ...ids(), ...part });
        }
        async function save(): Promise<void> {
          const stored = await load();
          const messages = expected.messages.map(
            (message) => stored.find(({ id }) => id === message.id) ?? messageOf(message),
          );
          await store.upsertChat({ ...ids(), messages });
        }
      });
      await fc.assert(compare, { numRuns: Number(process.env.MODEL_RUNS ?? 10) });
    }, 900_000);
  },
);

const chosen = <T>(which: number, among: readonly T[]): T | undefined =>
  among.at(-1 - (which % Math.max(among.length, 1)));
const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "stored",
    ({ code }) => code,
  );
/** The mark of a turn that may still end. */
const isOf =
  "chat_id = $1 and question_id = $2 and answer_id = $3 and (ended_at is null or interrupted) and not superseded";
