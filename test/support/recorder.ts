import type { BrowserContext, Page } from "playwright-core";
import { animatedPng, type Frame } from "./animated-png.ts";

/** The size of a tab in the recording. */
export const tabSize = { width: 480, height: 400 };
const stageSize = { width: 1_000, height: 472 };

/** Records two tabs side by side, under a line that says what happens. */
export async function createRecorder(context: BrowserContext) {
  const stage = await context.newPage();
  await stage.setViewportSize(stageSize);
  const frames: Frame[] = [];
  return {
    /** Takes a picture, which is shown for so long. */
    async take(caption: string, tabs: (Page | undefined)[], milliseconds: number) {
      const pictures = await Promise.all(tabs.map((tab) => tab?.screenshot({ animations: "disabled", caret: "hide" })));
      await stage.setContent(stageOf(caption, pictures));
      await stage.waitForFunction("[...document.images].every(({ complete }) => complete)");
      frames.push({ png: await stage.screenshot(), milliseconds });
    },
    finish: () => animatedPng(frames),
  };
}

const stageOf = (caption: string, pictures: (Buffer | undefined)[]) => `
  <style>
    body { margin: 0; padding: 12px; background: #e7eaee; font: 600 18px/1 system-ui, sans-serif; color: #1d2733 }
    p { margin: 4px 0 14px; text-align: center }
    main { display: flex; gap: 16px }
    .tab { width: ${tabSize.width}px; height: ${tabSize.height}px; border-radius: 8px; overflow: hidden; background: #dde1e7 }
  </style>
  <p>${caption}</p>
  <main>${pictures.map((png) => `<div class="tab">${png ? `<img src="data:image/png;base64,${png.toString("base64")}">` : ""}</div>`).join("")}</main>`;
