// Projects: main, thorough, tables, citus. Long: postgres.
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatConflictError, type ChatStore, type Turn } from "../../src/index.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { BranchTree, nested } from "../support/branch-tree.ts";
import { say } from "../support/conversations.ts";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";
import { seeded } from "../support/seed.ts";

/** What a user does in one of several tabs, or a model. `which` chooses among what there is. */
type Step =
  | { does: "ask" | "notice" | "take the last away" | "stop" | "die" }
  | {
      does: "retry" | "regenerate" | "edit" | "answer" | "answer nothing" | "switch" | "switch too late";
      which: number;
    }
  | { does: "change"; which: number }
  | { does: "delete"; which: number; following: boolean };

const which = fc.oneof(fc.constant(0), fc.nat(20));
const does = <Name extends string>(...names: Name[]) => fc.constantFrom(...names);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: does("ask") }) },
  { weight: 7, arbitrary: fc.record({ does: does("retry", "regenerate", "edit"), which }) },
  { weight: 9, arbitrary: fc.record({ does: does("answer"), which }) },
  { weight: 7, arbitrary: fc.record({ does: does("switch"), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ does: does("answer nothing", "switch too late", "change"), which }) },
  { weight: 2, arbitrary: fc.record({ does: does("delete"), which, following: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: does("notice", "take the last away", "stop", "die") }) },
);
/** What comes about too seldom by itself. */
const answering = fc.constant<Step>({ does: "answer", which: 0 });
const steps = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(step) },
  { weight: 2, arbitrary: fc.tuple(fc.constant<Step>({ does: "ask" }), answering) },
  { weight: 3, arbitrary: fc.tuple(fc.record({ does: does("regenerate", "edit"), which }), answering) },
);

seeded();

describe.each([...inModes(databases.slice(0, 2)), ...underRowLevelSecurity.slice(0, 1)])(
  "Branches on $name, $mode",
  ({ open, storeOn }) => {
    let database: TestDatabase;
    let store: ChatStore;
    beforeAll(async () => {
      database = await open();
      store = storeOn(database.db, { branches: true });
    });
    afterAll(() => database.close());

    test("any sequence of calls keeps what it replaces where a user finds it again", async () => {
      const sequence = fc.array(steps, { minLength: 3, maxLength: 16 }).map((steps) => steps.flat());
      const compare = fc.asyncProperty(sequence, fc.constantFrom(undefined, undefined, 1, 3), async (steps, limit) => {
        const ids = { userId: randomUUID(), chatId: randomUUID() };
        const tree = new BranchTree();
        const running: { turn: Turn; questionId: string; hasLeft: boolean; isRecorded: boolean }[] = [];
        let words = 0;
        const load = async () => (await store.getChat(ids))?.messages ?? [];
        const said = (role: UIMessage["role"], id?: string) => say(role, `word ${words++}`, id);

        for (const step of steps) {
          await take(step);
          expect(await load()).toEqual(tree.messages);
          const points = await store.getBranches(ids);
          expect(points).toMatchObject(tree.points());
          expect(points).toHaveLength(tree.points().length);
          expect(nested(await exported())).toEqual(tree.branches());
        }

        async function exported() {
          for await (const { branches = [] } of store.exportChats({ userId: ids.userId })) return branches;
          return [];
        }

        async function take(step: Step): Promise<void> {
          switch (step.does) {
            case "ask":
              return ask(said("user"));
            case "retry":
            case "regenerate":
            case "edit": {
              const questions = tree.messages.filter(({ role }) => role === "user");
              const question = chosen(step.which, questions);
              return question && ask(question, step.does);
            }
            case "answer":
            case "answer nothing": {
              const one = chosen(step.which, running);
              if (one) await answer(one, step.does === "answer");
              return;
            }
            case "switch":
            case "switch too late":
              return switchBranch(step.which, step.does === "switch too late");
            case "change": {
              const message = chosen(step.which, tree.messages);
              if (!message) return;
              await store.updateMessage({ ...ids, message: said(message.role, message.id) });
              return follow(0, false);
            }
            case "delete": {
              const message = chosen(step.which, tree.messages);
              if (!message) return;
              await store.deleteMessage({ ...ids, messageId: message.id, following: step.following });
              return follow(0, false);
            }
            case "notice":
              await store.upsertChat({ ...ids, messages: [...tree.messages, said("assistant")] });
              return follow(0, false);
            case "take the last away":
              await store.upsertChat({ ...ids, messages: tree.messages.slice(0, -1) });
              return follow(0, false);
            case "stop":
              await store.stopTurn(ids);
              return;
            case "die":
              return die();
          }
        }

        /** The conversation is as the store says. The tests of turns say what it has to be. */
        async function follow(at: number, keeps: boolean) {
          tree.change(at, await load(), { keeps });
        }

        async function ask(question: UIMessage, meaning?: "retry" | "regenerate" | "edit") {
          const at = tree.messages.findIndex(({ id }) => id === question.id);
          const turn = await store.startTurn({
            ...ids,
            limit,
            message: meaning === "edit" ? said("user", question.id) : question,
            trigger: meaning === "regenerate" ? "regenerate-message" : "submit-message",
            ...(meaning === "edit" && { messageId: question.id }),
          });
          running.push({ turn, questionId: question.id, hasLeft: false, isRecorded: false });
          if (meaning === "edit") await follow(at, true);
          else if (!meaning) await follow(0, false);
          else expect(await load()).toEqual(tree.messages);
        }

        async function answer(one: (typeof running)[number], hasWords: boolean) {
          running.splice(running.indexOf(one), 1);
          const before = tree.messages;
          const id = one.turn.persist.generateMessageId();
          const responseMessage = hasWords ? said("assistant", id) : say("assistant", "", id);
          const isStored = await one.turn.persist.onEnd({ responseMessage }).then(
            () => true,
            (error) => {
              expect(error).toBeInstanceOf(ChatConflictError);
              return false;
            },
          );
          const at = before.findIndex(({ id }) => id === one.questionId);
          if (at === -1 || one.hasLeft) expect(isStored, "its question has left").toBe(false);
          if (isStored) await followAnswer(before, one.questionId);
        }

        /** The process of the newest turn dies in mid-answer, and a page finds the words. The turn may come back. */
        async function die() {
          const one = running.at(-1);
          if (!one || one.isRecorded) return;
          one.isRecorded = true;
          const messageId = one.turn.persist.generateMessageId();
          const chunks = [
            { type: "start", messageId },
            { type: "text-start", id: "1" },
            { type: "text-delta", id: "1", delta: `word ${words++}` },
          ];
          await one.turn.consumeSseStream({ stream: ReadableStream.from(chunks.map(toSseEvent)) });
          const dies =
            "update chat_store.turns set beat_at = 'epoch' where chat_id = $1 and answer_id = $2 and chunks > 0";
          await database.query(dies, [ids.chatId, messageId]);
          await (await store.resumeTurn(ids))?.cancel();
          await followAnswer(tree.messages, one.questionId);
        }

        /** An answer has been stored behind its question. If it has replaced messages, they are a branch. */
        async function followAnswer(before: readonly UIMessage[], questionId: string) {
          const after = await load();
          if (isDeepStrictEqual(after, before)) return;
          const replaces = before.some(({ id }) => !after.some((message) => message.id === id));
          await follow(before.findIndex(({ id }) => id === questionId) + 1, replaces);
        }

        async function switchBranch(which: number, isTooLate: boolean) {
          const all = (await store.getBranches(ids)).flatMap((point) =>
            point.branches.map((branch) => ({ point, branch })),
          );
          const one = chosen(which, all);
          if (!one) return;
          const { version = 0 } = (await store.getChat(ids)) ?? {};
          const switching = { ...ids, branchId: one.branch.id };
          if (isTooLate) {
            const late = store.switchBranch({ ...switching, expectedVersion: version + 1 });
            return expect(late).rejects.toBeInstanceOf(ChatConflictError);
          }
          expect(await store.switchBranch({ ...switching, expectedVersion: version })).toMatchObject({
            version: version + 1,
          });
          const at = tree.messages.findIndex(({ id }) => id === one.point.afterMessageId);
          const leaving = tree.messages.slice(at + 1).map(({ id }) => id);
          for (const turn of running) turn.hasLeft ||= leaving.includes(turn.questionId);
          tree.switchTo(one.point, one.branch.position);
        }
      });
      await fc.assert(compare, { numRuns: Number(process.env.MODEL_RUNS ?? 10) });
    }, 900_000);
  },
);

const chosen = <T>(which: number, among: readonly T[]): T | undefined =>
  among.at(-1 - (which % Math.max(among.length, 1)));
