//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// recipe is what one stream asks of the mock upstream. It travels as JSON at the
// beginning of the user's message, which every proxy hands on unchanged; headers
// and unknown fields may be dropped on the way.
type recipe struct {
	// Chunks is the number of content deltas; 0 sends them until the mock is told
	// to finish.
	Chunks int `json:"chunks"`
	// Every is the time from one delta to the next; 0 is as fast as possible.
	Every time.Duration `json:"every,omitempty"`
	// Head is the time from the request to the response head.
	Head time.Duration `json:"head,omitempty"`
	// First is the time from the response head to the first delta.
	First time.Duration `json:"first,omitempty"`
	// QuietAfter is the number of deltas before a silence of Quiet; 0 is none.
	QuietAfter int           `json:"quiet_after,omitempty"`
	Quiet      time.Duration `json:"quiet,omitempty"`
	// ID names the stream in the journal of the mock. Streams without one leave
	// no trace there.
	ID string `json:"id,omitempty"`
}

const (
	modelName  = "bench-model"
	systemText = "You are a careful assistant that answers in plain words and keeps to the question."
	userText   = "Explain how a river lock lifts a boat from the lower to the upper water, step by step, " +
		"and say at each step which gate is open, which sluice runs and how high the water stands in the chamber."
)

// message is one message of a chat completion request.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// chatRequest is the part of a chat completion request that client and mock agree on.
type chatRequest struct {
	Model         string        `json:"model"`
	Stream        bool          `json:"stream"`
	StreamOptions streamOptions `json:"stream_options"`
	Messages      []message     `json:"messages"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// wire returns the whole HTTP request that asks for r.
func (r recipe) wire(host string) ([]byte, error) {
	own, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing the recipe: %w", err)
	}
	body, err := json.Marshal(chatRequest{
		Model: modelName, Stream: true, StreamOptions: streamOptions{IncludeUsage: true},
		Messages: []message{{"system", systemText}, {"user", string(own) + " " + userText}},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-bench\r\n"+
		"Content-Type: application/json\r\nAccept: text/event-stream\r\nAuthorization: Bearer sk-bench\r\n"+
		"Content-Length: %d\r\n\r\n", host, len(body))
	w.Write(body)
	return w.Bytes(), nil
}

var errNoRecipe = errors.New("the request holds no recipe")

// readRecipe finds the recipe in the body of a request.
func readRecipe(body []byte) (recipe, error) {
	var asked chatRequest
	if err := json.Unmarshal(body, &asked); err != nil {
		return recipe{}, fmt.Errorf("reading the request: %w", err)
	}
	if !asked.Stream || !asked.StreamOptions.IncludeUsage || len(asked.Messages) == 0 {
		return recipe{}, errNoRecipe
	}
	last := asked.Messages[len(asked.Messages)-1].Content
	var r recipe
	if err := json.NewDecoder(strings.NewReader(last)).Decode(&r); err != nil {
		return recipe{}, errNoRecipe
	}
	return r, nil
}

// lasts is the time that a stream takes at least.
func (r recipe) lasts() time.Duration {
	return r.Head + r.First + time.Duration(r.Chunks)*r.Every + r.Quiet
}
