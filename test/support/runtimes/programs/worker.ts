import { createChatStore } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { answer, exercise, say, speaker } from "./exercise.ts";
import { unreachable } from "./unreachable.ts";

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** In workerd a connection belongs to the request that has opened it: each has a client of its own, and ends it. */
export default {
  async fetch(request: Request, { DATABASE_URL }: { DATABASE_URL: string }, context: Context): Promise<Response> {
    const { pathname } = new URL(request.url);
    const connect = (url: string) => postgres(url, { max: 5, onnotice: () => {} });
    if (pathname === "/exercise") {
      const [client, nowhere] = [connect(DATABASE_URL), connect(unreachable)];
      const result = await exercise(drizzle({ client }), drizzle({ client: nowhere }));
      await Promise.all([client.end(), nowhere.end()]);
      return Response.json(result);
    }
    if (pathname === "/waiting") return turn(connect(DATABASE_URL), "waiting", (work) => context.waitUntil(work));
    if (pathname === "/not-waiting") return turn(connect(DATABASE_URL), "not waiting", () => {});
    return new Response("ready");
  },
};

/** Answers for two seconds. What `keep` is given is not over before the answer is stored. */
async function turn(client: postgres.Sql, chatId: string, keep: (work: Promise<void>) => void): Promise<Response> {
  const store = createChatStore(drizzle({ client }));
  const turn = await store.startTurn({ userId: "u1", chatId, message: say("user", "q1", "Why do tides turn?") });
  const { model, speak, finish } = speaker();
  speak("The moon ");
  setTimeout(() => {
    speak("pulls.");
    void finish();
  }, 2_000);
  const consumeSseStream: typeof turn.consumeSseStream = async (options) => {
    const work = turn.consumeSseStream(options).then(() => client.end());
    keep(work);
    await work;
  };
  return answer({ ...turn, consumeSseStream }, model);
}
