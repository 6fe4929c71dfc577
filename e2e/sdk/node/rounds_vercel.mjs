// The AI SDK on models of every dialect, as a provider that is compatible with OpenAI.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { enough } from "./report.mjs";
import { play } from "./rounds.mjs";

const provider = createOpenAICompatible({
  name: "sluice",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const thinking = { providerOptions: { sluice: { reasoningEffort: "low" } } };
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `rain in ${city}`,
  }),
};

const question = (seen) => ({
  model: provider(seen.model),
  system: "Be brief.",
  prompt: seen.prompt,
  maxRetries: 0,
});

async function read(seen, options = {}) {
  // The caller of a stream finds failures in it.
  const stream = streamText({ ...question(seen), onError: () => {}, ...options });
  for await (const part of stream.fullStream) {
    seen.chunks++;
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "error") throw part.error;
  }
  await finish(seen, stream);
}

/** Takes what a result says once it is whole. */
async function finish(seen, result) {
  seen.finishReason = await result.finishReason;
  const steps = await result.steps;
  for (const step of steps) {
    seen.models.add(step.response.modelId);
    for (const call of step.toolCalls) {
      seen.calls.push({ id: call.toolCallId, name: call.toolName, arguments: JSON.stringify(call.input) });
    }
  }
  const usage = await result.totalUsage;
  seen.usage = { prompt_tokens: usage.inputTokens, completion_tokens: usage.outputTokens };
}

async function whole(seen, options = {}) {
  const result = await generateText({ ...question(seen), ...options });
  seen.text = result.text;
  seen.reasoning = result.reasoningText ?? "";
  await finish(seen, result);
  return result;
}

async function abort(seen) {
  const patience = new AbortController();
  const stream = streamText({ ...question(seen), abortSignal: patience.signal, onError: () => {} });
  for await (const part of stream.fullStream) {
    if (part.type !== "text-delta") continue;
    seen.text += part.text;
    seen.textChunks++;
    if (seen.textChunks >= enough) patience.abort();
  }
}

async function schema(seen) {
  const output = Output.object({ schema: z.object({ city: z.string(), rain: z.boolean() }) });
  seen.form = (await whole(seen, { output })).output;
}

const withTools = { tools, stopWhen: stepCountIs(3), ...thinking };

await play({
  text: (seen) => read(seen),
  text_whole: (seen) => whole(seen),
  think: (seen) => read(seen, thinking),
  think_whole: (seen) => whole(seen, thinking),
  tools: (seen) => read(seen, withTools),
  tools_whole: (seen) => whole(seen, withTools),
  schema,
  abort,
  busy: (seen) => read(seen),
  broken: (seen) => read(seen),
});
