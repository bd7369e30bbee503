import { expect, test } from "vitest";
import { ask, shows, showsWhatIsStored } from "../support/recipe-steps.ts";
import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles, reactEntry } from "../support/recipes.ts";

const files = { ...printedFiles("assistant-ui"), ...reactEntry("undefined") };

const { openNewChat } = testRecipe(
  "assistant-ui",
  { files, entry: "main.tsx" },
  { newChat: () => "/", pageSize: 30, refusal: "logged" },
);

test("an edit replaces the question, and asking again replaces the answer", async () => {
  const { user, page, id } = await openNewChat();
  const answer = async (count: number, text: string) => {
    const voice = await user.voice(count);
    voice.say(text);
    await voice.finish();
    await user.idle();
  };
  await ask(page, "Why do tides turn?");
  await answer(1, "The moon pulls.");
  await shows(page, ["Why do tides turn?", "The moon pulls."]);

  await page.getByRole("button", { name: "Ask again" }).click();
  await answer(2, "The moon and the sun pull.");
  const [question] = await user.stored(await id());
  await showsWhatIsStored(user, page, await id(), ["Why do tides turn?", "The moon and the sun pull."], { cut: true });

  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Edit message" }).fill("Why does wind blow?");
  await page.getByRole("button", { name: "Save" }).click();
  await answer(3, "The sun warms.");
  await showsWhatIsStored(user, page, await id(), ["Why does wind blow?", "The sun warms."], { cut: true });
  expect((await user.stored(await id()))[0]?.id).toBe(question?.id);
  await page.reload();
  await shows(page, ["Why does wind blow?", "The sun warms."]);
});
