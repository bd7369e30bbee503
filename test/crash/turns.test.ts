import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { convertToModelMessages, type UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, migrate } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { createServer } from "../support/crash/server.ts";
import type { Said, SpeakerOptions } from "../support/crash/speaker.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

const kills = Number(process.env.TURN_KILLS ?? (isLong ? 10 : 3));
const random = seeded();
/** Milliseconds: what was sent longer ago than this before a kill is never lost. */
const bound = 1_000;

const program = fileURLToPath(new URL("../support/crash/speaker.ts", import.meta.url));
const textOf = (message: UIMessage | undefined) =>
  message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";

const lengthOf = (said: Said[]) => said.reduce((length, { text }) => length + text.length, 0);

/** A turn in which nothing is said. */
async function askInVain(store: ChatStore, ids: { userId: string; chatId: string }, message: UIMessage) {
  const turn = await store.startTurn({ ...ids, message });
  await turn.persist.onEnd({ responseMessage: { id: randomUUID(), role: "assistant", parts: [] } });
}

/** Of each answer, how long before the kill the first word was sent that is lost, in milliseconds. */
const losses: number[] = [];

test(`the store keeps the recorded text once when a server is killed in the middle of three answers (kills: ${kills})`, async () => {
  const server = await createServer();
  onTestFinished(server.remove);
  await server.start();
  const pools = [1, 2].map(() => new pg.Pool({ connectionString: server.url, max: 5 }));
  onTestFinished(async () => void (await Promise.all(pools.map((pool) => pool.end()))));
  for (const pool of pools) pool.on("error", () => {});
  const [one, other] = pools.map((pool) => createChatStore(drizzle(pool))) as [ChatStore, ChatStore];
  const [pool] = pools as [pg.Pool, pg.Pool];
  await migrate(drizzle(pool));
  for (let kill = 0; kill < kills; kill++) {
    const options: SpeakerOptions = {
      url: server.url,
      chatIds: [randomUUID(), randomUUID(), randomUUID()],
      seed: random.seed(),
    };
    const speaker = fork(program, [JSON.stringify(options)], { execArgv: ["--import", "tsx"] });
    const said: Said[] = [];
    speaker.on("message", (message: Said) => said.push(message));
    const ended = once(speaker, "close");
    await Promise.race([once(speaker, "message"), ended]);
    expect(speaker.exitCode, "how the process ended by itself").toBeNull();
    await sleep(random.below(2_500));
    speaker.kill("SIGKILL");
    const killed = Date.now();
    await ended;
    // Ten seconds of silence.
    await pool.query("update chat_store.turns set beat_at = beat_at - interval '11 seconds'");

    for (const chatId of options.chatIds) {
      const ids = { userId: "u", chatId };
      const next = say("user", "And?", "q2");
      await Promise.all([
        ...[one, other, other].map(async (store) => {
          const stream = await store.resumeTurn({ ...ids, version: 1 });
          const shown = stream && (await new Response(stream).text());
          // Nothing, where it came upon the next turn. Comments keep the line alive if that takes long.
          const withoutComments = shown?.replaceAll(/^:.*\n\n/gm, "") ?? "interrupted";
          expect(withoutComments).toMatch(/interrupted|^data: \[DONE\]\n\n$/);
        }),
        ...(kill % 2 ? [askInVain(one, ids, next)] : []),
      ]);
      const turn = await one.startTurn({ ...ids, message: next });
      const sent = said.filter((piece) => piece.chatId === chatId);
      const whole = sent.map(({ text }) => text).join("");
      const answers = turn.messages.slice(1, -1);
      const kept = textOf(answers[0]);
      expect(turn.messages.map(({ id }) => id)).toEqual(["q1", ...answers.map(({ id }) => id), "q2"]);
      expect(answers.length).toBeLessThanOrEqual(1);
      // More may be recorded than the browser had been sent.
      expect(whole.startsWith(kept) || kept.startsWith(whole)).toBe(true);
      const firstLost = sent.find((_, index) => lengthOf(sent.slice(0, index + 1)) > kept.length);
      losses.push(firstLost ? killed - firstLost.at : 0);
      await expect(convertToModelMessages(turn.messages)).resolves.toHaveLength(
        turn.messages.length + (JSON.stringify(answers).includes("toolCallId") ? 1 : 0),
      );
      await turn.persist.onEnd({ responseMessage: say("assistant", "So.") });
    }
  }
  const sorted = losses.toSorted((a, b) => a - b);
  console.log(`${losses.length} answers; what was lost of them, in ms before the kill:`, {
    median: sorted[Math.floor(sorted.length / 2)],
    most: sorted.at(-1),
  });
});

// How late a recorder comes to its turn depends on what else the machine does.
test.runIf(isLong)(`a kill loses no text that the server sent ${bound} ms before it`, () => {
  expect(losses).toHaveLength(kills * 3);
  expect(Math.max(...losses)).toBeLessThan(bound);
});
