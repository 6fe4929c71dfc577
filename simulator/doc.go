// Package simulator is a model provider that needs no key and no network: an HTTP
// server that speaks the OpenAI dialect and makes its answers up. sluice runs it
// when no provider is configured, and `sluice sim` runs it for other programs'
// tests.
//
// # Endpoints
//
// POST /v1/chat/completions and POST /v1/completions (streamed and whole), POST
// /v1/embeddings, GET /v1/models, GET /v1/models/{id}, all also without /v1, and
// GET /stats. Any credential is accepted, and none is needed.
//
// # Models
//
//	sim                  a short friendly answer; calls a tool only if tool_choice asks for it
//	sim-long             400 tokens at half the speed: for hanging up
//	sim-tools            calls the tools it is given, and answers with text after a tool's result
//	sim-reasoning        reasoning_content first, then content
//	sim-slow             headers at once, then 500 token intervals of silence, then a short answer
//	sim-error-429        an error at once, with Retry-After; also sim-error-500 and sim-error-401
//	sim-error-midstream  an error event after a few tokens; whole answers get status 500
//	sim-truncate         stops after a few tokens without finish_reason and [DONE], the
//	                     transfer ending cleanly; whole answers are cut short of their length
//	sim-embedding        embeddings
//
// The chat models also serve /v1/completions. Any other name is answered with 404.
//
// # Behaviour asked for by the request
//
// Answers depend on the request alone: the same one gets the same words, though
// ids and times differ. Nothing of the prompt is ever repeated.
//
// Tools: "required" or a named tool_choice makes every chat model call. The tools called
// are those whose names occur in the last user message, in the order of the request,
// else the first one; only one with parallel_tool_calls false or a named choice.
// Arguments are an instance of the tool's schema.
//
// n, stop, max_tokens and max_completion_tokens are honoured (a /v1/completions
// request without max_tokens gets 16, as at OpenAI). response_format json_object
// gives a JSON object, json_schema an instance of the schema. Sampling parameters
// and logprobs are accepted and have no effect.
//
// # Tokens and usage
//
// A token is a word of up to eight letters or digits with the space before it, a
// piece of a longer word, a single other character, or the name of a called tool.
// Usage counts exactly those: the prompt's tokens are those of its texts, names,
// call arguments, tool definitions and answer schema, with 85 for an image or a
// file and nothing hidden added; the completion's are those of the whole answer,
// reasoning included. A streamed token is one chunk. stream_options.include_usage
// is honoured as at OpenAI: null beside choices and one usage-only chunk before
// [DONE]; without it no usage at all.
//
// # Hanging up
//
// Generation stops as soon as the caller has gone, streamed or not. GET /stats
// tells how far each of the latest answers got (see Stats).
package simulator
