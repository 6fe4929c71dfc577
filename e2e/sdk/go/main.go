// Command go runs one scenario with the openai-go client for each start.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	if os.Args[1] == "rounds" {
		exit(report(map[string]any{"rounds": playRounds(context.Background())}))
	}
	s := &seen{Models: []string{}, ToolCalls: []call{}}
	c := &client{api: openai.NewClient(option.WithMaxRetries(0)), seen: s}
	scenarios := map[string]func(context.Context){
		"answer":        func(ctx context.Context) { c.answer(ctx, false) },
		"answer_tools":  func(ctx context.Context) { c.answer(ctx, true) },
		"stream":        func(ctx context.Context) { c.read(ctx, openai.ChatCompletionNewParams{}) },
		"stream_usage":  c.readUsage,
		"stream_tools":  func(ctx context.Context) { c.read(ctx, withTools(openai.ChatCompletionNewParams{})) },
		"abort":         c.abort,
		"abort_leaving": c.abortLeaving,
		"abort_waiting": c.abortWaiting,
	}
	run, ok := scenarios[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown scenario", os.Args[1])
		os.Exit(2)
	}
	run(context.Background())
	exit(report(s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

type client struct {
	api  openai.Client
	seen *seen
}

// question fills in what every scenario asks.
func question(p openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	p.Model = os.Getenv("MODEL")
	p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the weather in Oslo?")}
	return p
}

func withTools(p openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name:        "get_weather",
		Description: openai.String("The weather in a city."),
		Parameters: openai.FunctionParameters{
			"type":       "object",
			"properties": map[string]any{"city": map[string]string{"type": "string"}},
			"required":   []string{"city"},
		},
	})}
	return p
}

func (c *client) answer(ctx context.Context, tools bool) {
	p := question(openai.ChatCompletionNewParams{})
	if tools {
		p = withTools(p)
	}
	var response *http.Response
	whole, err := c.api.Chat.Completions.New(ctx, p, option.WithResponseInto(&response))
	c.seen.headers(response)
	if err != nil {
		c.seen.fail(err)
		return
	}
	c.seen.whole(*whole)
}

// read reads a stream to its end through the SDK's accumulator.
func (c *client) read(ctx context.Context, p openai.ChatCompletionNewParams) {
	var response *http.Response
	stream := c.api.Chat.Completions.NewStreaming(ctx, question(p), option.WithResponseInto(&response))
	c.seen.headers(response)
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		c.seen.chunk(stream.Current())
		if !whole.AddChunk(stream.Current()) {
			c.seen.fail(fmt.Errorf("the accumulator refused a chunk"))
			return
		}
	}
	c.seen.fail(stream.Err())
	if stream.Err() == nil {
		c.seen.whole(whole.ChatCompletion)
	}
}

func (c *client) readUsage(ctx context.Context) {
	c.read(ctx, openai.ChatCompletionNewParams{
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
}

// abort cancels the context of a stream with answers still to come.
func (c *client) abort(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var response *http.Response
	stream := c.api.Chat.Completions.NewStreaming(ctx, question(openai.ChatCompletionNewParams{}), option.WithResponseInto(&response))
	c.seen.headers(response)
	for stream.Next() {
		if c.seen.chunk(stream.Current()) {
			cancel()
		}
	}
	c.seen.fail(stream.Err())
}

// abortLeaving closes the stream.
func (c *client) abortLeaving(ctx context.Context) {
	var response *http.Response
	stream := c.api.Chat.Completions.NewStreaming(ctx, question(openai.ChatCompletionNewParams{}), option.WithResponseInto(&response))
	c.seen.headers(response)
	for stream.Next() {
		if c.seen.chunk(stream.Current()) {
			break
		}
	}
	c.seen.fail(stream.Close())
}

// abortWaiting cancels before anything has come, once the test says that the upstream
// has the request.
func (c *client) abortWaiting(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}()
	c.answer(ctx, false)
}
