// Package openai makes the many servers that speak OpenAI's chat API, more or less,
// look to strict SDKs like OpenAI itself.
//
// What a client gets is what the provider sent, byte for byte, wherever that obeys the
// rules that OpenAI's own streams follow; only what breaks an SDK is mended, in place.
// The rules come from what clients do with a stream:
//
//   - openai-go refuses a chunk whose id differs from the first one's, takes any
//     top-level error, even null, for a failure, adds up the usage of all chunks, and
//     lets what comes after a finish reason overwrite it;
//   - openai-python concatenates repeated strings of a delta, so that role, id and name
//     may come once, and needs elements of lists to be indexed densely from 0;
//   - openai-node refuses a choice without a role or a finish reason, and tool calls
//     without id, type, name or arguments.
//
// The format is that of OpenAI's API reference, "Streaming" of chat completions:
// https://platform.openai.com/docs/api-reference/chat-streaming
//
// Left as they are: members that OpenAI does not have (provider, citations, x_groq,
// reasoning_details…), the name under which a provider sends its reasoning (whoever
// chose that provider knows it under that name, and has to send it back so), ids of
// tool calls however long they are, and function_call, which tool calls replaced.
package openai
