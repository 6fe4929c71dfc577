// The openai package for Node on models of every dialect.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { tools } from "./report.mjs";
import { play } from "./rounds.mjs";

const client = new OpenAI({ maxRetries: 0 });
const completions = client.chat.completions;
const Weather = z.object({ city: z.string(), rain: z.boolean() });

const question = (seen) => [
  { role: "system", content: "Be brief." },
  { role: "user", content: seen.prompt },
];

async function ask(seen, body = {}) {
  const call = completions.create({ model: seen.model, messages: question(seen), ...body });
  const { data, response } = await call.withResponse();
  seen.headers(response.headers);
  return data;
}

async function read(seen, body = {}) {
  const stream = await ask(seen, { stream: true, stream_options: { include_usage: true }, ...body });
  for await (const chunk of stream) seen.chunk(chunk);
}

async function abort(seen) {
  const stream = await ask(seen, { stream: true });
  for await (const chunk of stream) {
    if (seen.chunk(chunk)) stream.controller.abort();
  }
}

/** An answer that the SDK turns into an object. */
async function schema(seen) {
  const response_format = zodResponseFormat(Weather, "weather");
  const answer = await completions.parse({ model: seen.model, messages: question(seen), response_format });
  seen.answer(answer);
  seen.form = answer.choices[0].message.parsed;
}

/** The same from a stream. */
async function schemaStream(seen) {
  const response_format = zodResponseFormat(Weather, "weather");
  const stream = completions.stream({ model: seen.model, messages: question(seen), response_format });
  stream.on("chunk", (chunk) => seen.chunk(chunk));
  seen.form = (await stream.finalChatCompletion()).choices[0].message.parsed;
}

const results = (message) =>
  message.tool_calls.map((call) => ({
    role: "tool",
    tool_call_id: call.id,
    content: `rain in ${JSON.parse(call.function.arguments).city}`,
  }));

function noticeCarried(seen, message) {
  seen.carried = [message, ...message.tool_calls].some((holder) => "extra_content" in holder);
}

/** Two turns of streams, the message put together by the SDK. */
async function converse(seen) {
  const body = { model: seen.model, messages: question(seen), tools, reasoning_effort: "low" };
  const stream = completions.stream(body);
  stream.on("chunk", (chunk) => seen.chunk(chunk));
  const message = await stream.finalMessage();
  noticeCarried(seen, message);
  const messages = [...body.messages, message, ...results(message)];
  for await (const chunk of await completions.create({ ...body, messages, stream: true })) seen.chunk(chunk);
}

/** Two turns of whole answers. */
async function converseWhole(seen) {
  const body = { model: seen.model, messages: question(seen), tools, reasoning_effort: "low" };
  const first = await completions.create(body);
  const { message } = first.choices[0];
  noticeCarried(seen, message);
  seen.answer(first);
  const messages = [...body.messages, message, ...results(message)];
  const second = await completions.create({ ...body, messages });
  seen.answer(second);
}

/** The SDK's own loop over tools, with streams. */
async function runTools(seen) {
  const weather = {
    type: "function",
    function: {
      ...tools[0].function,
      parse: JSON.parse,
      function: ({ city }) => `rain in ${city}`,
    },
  };
  const runner = completions.runTools({
    model: seen.model,
    messages: question(seen),
    tools: [weather],
    reasoning_effort: "low",
    stream: true,
  });
  runner.on("chunk", (chunk) => seen.chunk(chunk));
  await runner.done();
}

await play({
  text: (seen) => read(seen),
  text_whole: async (seen) => seen.answer(await ask(seen)),
  think: (seen) => read(seen, { reasoning_effort: "low" }),
  think_whole: async (seen) => seen.answer(await ask(seen, { reasoning_effort: "low" })),
  tools: converse,
  tools_whole: converseWhole,
  tools_loop: runTools,
  schema,
  schema_stream: schemaStream,
  abort,
  busy: (seen) => read(seen),
  broken: (seen) => read(seen),
});
