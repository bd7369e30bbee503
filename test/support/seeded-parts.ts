import type { UIMessage } from "ai";
import { textMessage } from "./seeded-chats.ts";

/** A red square. */
const picture =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/** An answer with a part of every kind of the AI SDK, and one of none. */
export const everyPart: UIMessage[] = [
  {
    id: "asked",
    role: "user",
    parts: [
      { type: "text", text: "How warm is it here?" },
      { type: "file", mediaType: "image/png", filename: "map.png", url: picture },
      { type: "file", mediaType: "application/pdf", filename: "report.pdf", url: "https://example.com/report.pdf" },
    ],
  },
  {
    id: "answered",
    role: "assistant",
    parts: [
      { type: "step-start" },
      { type: "reasoning", text: "This needs a *thermometer*.", state: "done" },
      { type: "text", text: "Let me look." },
      {
        type: "tool-weather",
        toolCallId: "1",
        state: "output-available",
        input: { city: "Lund" },
        output: { celsius: 21 },
      },
      {
        type: "dynamic-tool",
        toolName: "forecast",
        toolCallId: "2",
        state: "output-error",
        input: { days: 3 },
        errorText: "The forecast is closed.",
      },
      { type: "step-start" },
      { type: "text", text: "It is 21 °C." },
      { type: "source-url", sourceId: "3", url: "https://example.com/weather", title: "Weather in Lund" },
      {
        type: "source-document",
        sourceId: "4",
        mediaType: "application/pdf",
        title: "The climate of Scania",
        filename: "climate.pdf",
      },
      { type: "data-progress", data: "not to be shown" },
      { type: "hologram", text: "of a later version" } as unknown as UIMessage["parts"][number],
    ],
  },
];

/** A chat whose answer is only a tool call. */
export const onlyACall: UIMessage[] = [
  textMessage("asked", "user", "Only look"),
  {
    id: "answered",
    role: "assistant",
    parts: [
      {
        type: "tool-weather",
        toolCallId: "1",
        state: "output-available",
        input: { city: "Lund" },
        output: { celsius: 21 },
      },
    ],
  },
];
