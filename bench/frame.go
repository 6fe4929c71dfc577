//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// What the mock sends looks like a hosted provider's answer: about 300 bytes an
// event, every event in an HTTP chunk and a write of its own.
const (
	answerHead = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/event-stream; charset=utf-8\r\n" +
		"Cache-Control: no-cache\r\nX-Request-Id: req_4f7c0d5e9b2a4c61\r\nTransfer-Encoding: chunked\r\n\r\n"
	refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

	eventStart = `data: {"id":"chatcmpl-7dQvX2mLr0KpYcTnWb5Ea9","object":"chat.completion.chunk","created":1767225600,` +
		`"model":"` + modelName + `","service_tier":"default","system_fingerprint":"fp_5c1e7a90d2",`
	eventEnd = "}\n\n"
)

// frame is a prepared event with a stamp to patch.
type frame struct {
	bytes []byte
	at    int
}

// newFrame prepares a content delta; the first one of a stream carries the role.
func newFrame(first bool) frame {
	role := ""
	if first {
		role = `"role":"assistant",`
	}
	blank := strings.Repeat("?", stampLength)
	event := httpChunk(eventStart + `"choices":[{"index":0,"delta":{` + role + `"content":"` + blank +
		`"},"logprobs":null,"finish_reason":null}],"usage":null` + eventEnd)
	return frame{bytes: event, at: bytes.Index(event, []byte(blank))}
}

// stamped returns the event with its number and send time. The bytes are valid
// until the next call.
func (f frame) stamped(number int, sent int64) []byte {
	putStamp(f.bytes[f.at:], number, sent)
	return f.bytes
}

// ending is everything after the last delta: finish chunk, usage chunk, sentinel
// and the end of the body.
func ending(chunks int) []byte {
	const prompt = 64
	var w bytes.Buffer
	w.Write(httpChunk(eventStart + `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null` + eventEnd))
	w.Write(httpChunk(eventStart + fmt.Sprintf(`"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`,
		prompt, chunks, prompt+chunks) + eventEnd))
	w.Write(httpChunk("data: [DONE]\n\n"))
	w.WriteString("0\r\n\r\n")
	return w.Bytes()
}

func httpChunk(payload string) []byte {
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(payload), payload)
}
