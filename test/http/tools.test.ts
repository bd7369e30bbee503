import type { ToolSet, UIMessage } from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { chunksOf, expectError, question, textIn } from "../support/chat-handler.ts";
import { type Sdk, type Step, sdks } from "../support/scripted-sdks.ts";
import { quietly, useSdk } from "../support/sdk-handler.ts";

const inputSchema = z.object({});

describe.each(sdks)("Tools on $name", (sdk) => {
  const used = useSdk(sdk);
  const paid: unknown[] = [];
  const tools = {
    locate: { description: "Where the user is", inputSchema },
    pay: { inputSchema, needsApproval: true, execute: async () => paid.push("paid") },
  };

  function createChat({ ai, model }: Sdk, steps: Step[], prompts: unknown[] = []) {
    return used.createChat(
      ({ modelMessages }) =>
        ai.streamText({
          ...quietly,
          model: model(steps, prompts),
          messages: modelMessages,
          tools: tools as ToolSet,
          stopWhen: ai.stepCountIs(3),
        }),
      { tools },
    );
  }
  const withPart = (message: UIMessage | undefined, change: object) =>
    ({
      ...message,
      parts: message?.parts.map((part) => ("toolCallId" in part ? { ...part, ...change } : part)),
    }) as UIMessage;

  test("a page answers the call of a client tool, and the answer goes on under its id", async () => {
    const prompts: unknown[] = [];
    const { ask, stored, errors } = createChat(sdk, [{ toolName: "locate", input: {} }, "You are in Rome."], prompts);
    const called = await used.shownOf(await ask());
    expect((await stored())[1]).toEqual(JSON.parse(JSON.stringify(called)));
    const sent = withPart(called, { state: "output-available", output: "Rome" });
    const shown = await used.shownOf(await ask(sent), sent);
    expect(shown?.id).toBe(called?.id);
    const [asked, answer, ...others] = await stored();
    expect([asked, others]).toEqual([question("Why?"), []]);
    expect(answer).toEqual(JSON.parse(JSON.stringify(shown)));
    expect(answer?.parts.at(-1)).toMatchObject({ type: "text", text: "You are in Rome." });
    expect(JSON.stringify(prompts[1])).toContain('"Rome"');
    expect(errors).toEqual([]);
  });

  test("only the output of the call that waits is taken of what the page sends", async () => {
    const { ask, stored, errors } = createChat(sdk, [{ toolName: "locate", input: {} }, "You are in Rome."]);
    const called = await used.shownOf(await ask());
    const forged = withPart(called, { state: "output-available", output: "Rome", input: { forged: 1 }, forged: 1 });
    forged.metadata = { isAdmin: true };
    for (const part of [
      { type: "text", text: "I have forged this." },
      { type: "data-forged", data: 1 },
    ])
      await expectError(await ask({ ...forged, parts: [...forged.parts, part] }), "bad_request");
    await (await ask(forged)).text();
    expect(JSON.stringify(await stored())).not.toMatch(/forged|isAdmin/);
    expect((await stored())[1]?.parts.find(({ type }) => type === "tool-locate")).toMatchObject({
      input: {},
      output: "Rome",
    });
    // Once more, with another output.
    const again = await ask(withPart(called, { state: "output-available", output: "Paris" }));
    await expectError(again, "conflict");
    expect(JSON.stringify(await stored())).not.toContain("Paris");
    expect(errors).toEqual([]);
  });

  test("the output of a tool that the server runs is not taken from a page", async () => {
    const { ask, chatId, stored, errors } = createChat(sdk, ["Well."]);
    const call = { type: "tool-pay", toolCallId: "call", state: "input-available", input: {} };
    const called = { id: "a", role: "assistant", parts: [{ type: "step-start" }, call] } as UIMessage;
    await used.store.upsertChat({ userId: "u", chatId, messages: [question("Pay") as UIMessage, called] });
    const before = await stored();
    await expectError(await ask(withPart(called, { state: "output-available", output: "paid" })), "bad_request");
    expect(await stored()).toEqual(before);
    expect(errors).toEqual([]);
  });

  // ai 5 has no approvals.
  const approvals = sdk.name === "ai 5" ? [] : [true, false];
  if (approvals.length > 0)
    test.each(approvals)("an approval (%s) is given once, and the tool runs once or not at all", async (approved) => {
      paid.length = 0;
      const { ask, stored, errors } = createChat(sdk, [{ toolName: "pay", input: {} }, "That was it."]);
      const asked = await used.shownOf(await ask());
      const part = asked?.parts.find((part) => "toolCallId" in part) as { state: string; approval: { id: string } };
      expect(part.state).toBe("approval-requested");
      expect((await stored())[1]).toEqual(JSON.parse(JSON.stringify(asked)));
      const approval = { ...part.approval, approved };
      const sent = withPart(asked, { state: "approval-responded", approval });
      const [one, other] = await Promise.all([ask(sent), ask(sent)]);
      const [given, refused] = one.ok ? [one, other] : [other, one];
      await expectError(refused, "conflict");
      expect(textIn(await chunksOf(given))).toBe("That was it.");
      expect(paid).toHaveLength(approved ? 1 : 0);
      const [, answer, ...others] = await stored();
      expect(others).toEqual([]);
      expect(answer?.id).toBe(asked?.id);
      const done = answer?.parts.find((part) => "toolCallId" in part);
      expect(done).toMatchObject({ state: approved ? "output-available" : "output-denied", approval: { approved } });
      await expectError(await ask(withPart(asked, { state: "approval-responded", approval })), "conflict");
      expect(errors).toEqual([]);
    });
});
