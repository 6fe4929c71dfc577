// What a client saw, printed as one line of JSON for the test that started it.

import { once } from "node:events";
import process from "node:process";

const inputEnded = once(process.stdin, "end");

export const model = process.env.MODEL ?? "fast";
export const prompt = "What is the weather in Oslo?";
export const question = [{ role: "user", content: prompt }];
export const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

// A client that hangs up does so after this many chunks with text.
export const enough = 2;

/** Collects one answer, whole or chunk by chunk. */
export class Seen {
  text = "";
  reasoning = "";
  calls = [];
  finishReason = null;
  usage = null;
  usageMembers = 0;
  chunks = 0;
  textChunks = 0;
  models = new Set();
  requestId = null;
  error = null;

  headers(headers) {
    this.requestId = headers.get("x-request-id");
  }

  /** Adds one chunk; true once the client has had enough of a long answer. */
  chunk(chunk) {
    this.chunks++;
    this.models.add(chunk.model);
    if ("usage" in chunk) this.usageMembers++;
    this.#usage(chunk.usage);
    for (const choice of chunk.choices) {
      this.finishReason = choice.finish_reason ?? this.finishReason;
      this.reasoning += choice.delta.reasoning_content ?? "";
      if (choice.delta.content) {
        this.text += choice.delta.content;
        this.textChunks++;
      }
      for (const call of choice.delta.tool_calls ?? []) this.#call(call.index, call);
    }
    return this.textChunks >= enough;
  }

  answer(answer) {
    const choice = answer.choices[0];
    this.text = choice.message.content ?? "";
    this.reasoning = choice.message.reasoning_content ?? "";
    this.finishReason = choice.finish_reason;
    this.models.add(answer.model);
    this.#usage(answer.usage);
    (choice.message.tool_calls ?? []).forEach((call, index) => this.#call(index, call));
  }

  /** Keeps what the SDK's error says. */
  fail(error) {
    if (error.headers) this.headers(error.headers);
    this.error = {
      class: error.constructor.name,
      status: error.status ?? null,
      code: error.code ?? null,
      message: error.message,
      retry_after: error.headers?.get("retry-after") ?? null,
    };
  }

  #usage(usage) {
    if (usage) this.usage = { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens };
  }

  #call(index, { id, function: { name, arguments: args } }) {
    const call = (this.calls[index] ??= { id: "", name: "", arguments: "" });
    call.id += id ?? "";
    call.name += name ?? "";
    call.arguments += args ?? "";
  }

  toJSON() {
    return {
      text: this.text,
      reasoning: this.reasoning,
      tool_calls: this.calls,
      finish_reason: this.finishReason,
      usage: this.usage,
      usage_members: this.usageMembers,
      chunks: this.chunks,
      models: [...this.models],
      request_id: this.requestId,
      error: this.error,
    };
  }
}

/**
 * Prints a report and stays alive until standard input ends, so that a closed connection
 * is the SDK's doing and not that of a process that left.
 */
export async function report(what) {
  console.log(JSON.stringify(what));
  process.stdin.resume();
  await inputEnded;
}
