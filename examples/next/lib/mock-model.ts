import { simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";

type Prompt = Parameters<MockLanguageModelV4["doStream"]>[0]["prompt"];

interface Answer {
  reasoning?: string;
  text: string;
  source?: { title: string; url: string };
  /** Calls the tool of app/api/chat. */
  booking?: { restaurant: string; guests: number; time: string };
}

/** Needs no key and no network. Answers word by word for about two seconds, the same question always the same way. */
export const mockModel = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const { reasoning = "", text, source, booking } = answerTo(prompt);
    const [thoughts, words] = [wordsOf(reasoning), wordsOf(text)];
    const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
    const outputTokens = { total: undefined, text: undefined, reasoning: undefined };
    const finishReason = { unified: booking ? ("tool-calls" as const) : ("stop" as const), raw: undefined };
    const call = { toolCallId: `booking-${prompt.length}`, toolName: "bookTable", input: JSON.stringify(booking) };
    return {
      stream: simulateReadableStream({
        chunkDelayInMs: Math.min(2_000 / (thoughts.length + words.length), 120),
        chunks: [
          { type: "reasoning-start" as const, id: "0" },
          ...thoughts.map((delta) => ({ type: "reasoning-delta" as const, id: "0", delta })),
          { type: "reasoning-end" as const, id: "0" },
          { type: "text-start" as const, id: "1" },
          ...words.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
          { type: "text-end" as const, id: "1" },
          ...(source ? [{ type: "source" as const, sourceType: "url" as const, id: "2", ...source }] : []),
          ...(booking ? [{ type: "tool-call" as const, ...call }] : []),
          { type: "finish" as const, finishReason, usage: { inputTokens, outputTokens } },
        ].slice(reasoning ? 0 : 2),
      }),
    };
  },
});

const wordsOf = (text: string) => (text ? text.split(/(?<=\s)(?=\S)/) : []);

function answerTo(prompt: Prompt): Answer {
  const last = prompt.at(-1);
  if (last?.role === "tool") {
    const isDenied = last.content.some((part) => "output" in part && part.output.type === "execution-denied");
    return { text: isDenied ? "All right, I have not booked anything." : "Your table is booked. Enjoy your evening!" };
  }
  const question = last?.role === "user" ? last.content.map((part) => ("text" in part ? part.text : "")).join(" ") : "";
  const [, one = 0, other = 0] = (question.match(/(\d{1,6}) times (\d{1,6})/) ?? []).map(Number);
  if (one) {
    const [tens, ones] = [other - (other % 10), other % 10];
    const reasoning = `I split ${other} into ${tens} and ${ones}. ${one} × ${tens} = ${one * tens}, and ${one} × ${ones} = ${one * ones}.`;
    return { reasoning, text: `${one} times ${other} is **${one * other}**.` };
  }
  const quoted = question.replace(/\s+/g, " ").trim().slice(0, 120);
  return knownAnswers.find(({ about }) => about.test(question)) ?? { text: `You asked:\n\n> ${quoted}\n\n${dontKnow}` };
}

const dontKnow = `I am a **mock model**, so I cannot know. What I do know is what happened to your question:

1. It was stored *before* I said a word.
2. My answer is stored when it ends, even if you close the window now.
3. Reload the page, and both are still here.`;

const knownAnswers: (Answer & { about: RegExp })[] = [
  {
    about: /book a table/i,
    text: "I have found one. Shall I book it?",
    booking: { restaurant: "Da Gino", guests: 2, time: "19:30" },
  },
  {
    about: /called PostgreSQL/i,
    source: { title: "A brief history of PostgreSQL", url: "https://www.postgresql.org/docs/current/history.html" },
    text: `Because it came after **Ingres**, a database built at Berkeley in the seventies. *Post-Ingres* became **Postgres** in 1986.

It spoke a language of its own, QUEL. In 1996 it had learned SQL, and the name grew to say so: **PostgreSQL**.`,
  },
  {
    about: /elephant/i,
    text: `That is **Slonik**, which is Russian for *little elephant*. Elephants

- never forget,
- are strong and patient,
- and look good on a T-shirt.`,
  },
  {
    about: /compare/i,
    text: `| Database | Postgres | MySQL | SQLite |
| --- | --- | --- | --- |
| Runs as | a server | a server | a library in your process |
| JSON | \`jsonb\`, with indexes | \`JSON\`, generated columns | text and functions |
| Listens to changes | \`LISTEN\` and \`NOTIFY\` | the binary log | no |
| Licence | PostgreSQL licence | GPL or commercial | public domain |

This example uses **Postgres**, embedded or as a server.`,
  },
  {
    about: /\bSQL\b|\bquery\b/i,
    text: `They are ordinary rows in a Postgres schema of their own, so this is all it takes:

\`\`\`sql
select title, updated_at from chat_store.chats
where user_id = 'ada' order by updated_at desc limit 10;
\`\`\`

The messages are beside them, in \`chat_store.messages\`.`,
  },
  {
    about: /\p{Script=Arabic}|arabic/iu,
    text: `**قاعدة البيانات** تحفظ كل رسالة في PostgreSQL.

1. يُحفظ سؤالك أولاً.
2. ثم تُحفظ الإجابة، حتى لو أغلقت النافذة.

> أعد تحميل الصفحة، وستجد كل شيء هنا.`,
  },
];
