package cohere

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Answer implements translate.Dialect.
func (Dialect) Answer(_ *translate.Context, to translate.Sink, body []byte) translate.Progress {
	root, ok := jsonview.Parse(body)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	usage(to, root.Get("usage"))
	message := root.Get("message")
	e := failure(root)
	if e == nil && message.IsString() { // the form of an HTTP error
		e = wire.InStream(root)
	}
	if e != nil {
		to.Fail(e)
		return translate.Failed
	}
	if !message.IsObject() {
		return translate.Malformed
	}
	to.Head(root.Get("id").Text(), "", 0)
	to.Open(0)
	content(to, message)
	if logprobs := root.Get("logprobs"); logprobs.Len() > 0 {
		to.Logprobs(0, jsonview.View(appendLogprobs(nil, logprobs)))
	}
	var d decoder
	for _, call := range message.Get("tool_calls").Elements {
		number := to.Call(0, translate.Call{ID: call.Get("id").Text(), Name: call.Get("function", "name").Text()})
		d.arguments(to, number, call)
	}
	d.citations.add(message.Get("citations"))
	d.citations.carry(to)
	finish(to, root.Get("finish_reason"))
	return translate.Complete
}

// content takes in what a whole message says and thinks.
func content(to translate.Sink, message jsonview.Value) {
	blocks := message.Get("content")
	if blocks.Inside() != "" {
		to.Text(0, blocks.Inside())
	}
	for _, block := range blocks.Elements {
		if text := block.Get("text").Inside(); text != "" {
			to.Text(0, text)
		}
		if thinking := block.Get("thinking").Inside(); thinking != "" {
			to.Reasoning(0, thinking)
		}
	}
	if plan := message.Get("tool_plan").Inside(); plan != "" {
		to.Reasoning(0, plan)
	}
}
