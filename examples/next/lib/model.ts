import { openai } from "@ai-sdk/openai";
import type { LanguageModel } from "ai";
import { mockModel } from "./mock-model";

/** A real model once its key is set. For another provider, install its package and name its model here. */
export const model: LanguageModel = process.env.OPENAI_API_KEY
  ? openai(process.env.OPENAI_MODEL || "gpt-5-mini")
  : mockModel;
