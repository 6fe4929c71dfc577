// The openai package for Node: one scenario for each run.

import process from "node:process";

import OpenAI from "openai";

import { Seen, model, question, report, tools } from "./report.mjs";

const client = new OpenAI({ maxRetries: 0 });
const seen = new Seen();

async function ask(body = {}, options = {}) {
  const call = client.chat.completions.create({ model, messages: question, ...body }, options);
  const { data, response } = await call.withResponse();
  seen.headers(response.headers);
  return data;
}

async function read(body = {}) {
  for await (const chunk of await ask({ stream: true, ...body })) seen.chunk(chunk);
}

/** Calls the controller of a stream with answers still to come. */
async function abort() {
  const stream = await ask({ stream: true });
  for await (const chunk of stream) {
    if (seen.chunk(chunk)) stream.controller.abort();
  }
}

/** Leaves the loop over a stream. */
async function abortLeaving() {
  for await (const chunk of await ask({ stream: true })) {
    if (seen.chunk(chunk)) break;
  }
}

/** Aborts by signal before anything has come, once the test says that the upstream has the request. */
async function abortWaiting() {
  const patience = new AbortController();
  const waiting = ask({}, { signal: patience.signal });
  process.stdin.once("data", () => patience.abort());
  await waiting;
}

const scenarios = {
  answer: async () => seen.answer(await ask()),
  answer_tools: async () => seen.answer(await ask({ tools })),
  stream: () => read(),
  stream_usage: () => read({ stream_options: { include_usage: true } }),
  stream_tools: () => read({ tools }),
  abort,
  abort_leaving: abortLeaving,
  abort_waiting: abortWaiting,
};

try {
  await scenarios[process.argv[2]]();
} catch (error) {
  if (!(error instanceof OpenAI.OpenAIError)) throw error;
  seen.fail(error);
}
await report(seen);
