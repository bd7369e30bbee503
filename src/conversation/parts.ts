import type { MessageRow } from "./message-row.ts";

/** A message part of any kind, also of one that this version of the package does not know. */
export type Part = Record<string, unknown>;

export const isRecord = (value: unknown): value is Part => typeof value === "object" && value !== null;

export const partsOf = ({ parts }: MessageRow): Part[] => JSON.parse(parts);

export const isToolCall = (part: Part | undefined) => part?.toolCallId !== undefined;

export const toolNameOf = ({ type, toolName }: Part) =>
  type === "dynamic-tool" ? toolName : String(type).replace(/^tool-/, "");

const statesBeforeOutput = ["input-streaming", "input-available", "approval-requested", "approval-responded"];

/** How far a tool call has come. Any kind of output comes last. */
export function progressOf({ state }: Part): number {
  const step = statesBeforeOutput.indexOf(String(state));
  return step === -1 ? statesBeforeOutput.length : step;
}

export const hasOutput = (part: Part) => isToolCall(part) && progressOf(part) === statesBeforeOutput.length;
