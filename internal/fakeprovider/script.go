package fakeprovider

import (
	"encoding/json"
	"net/http"
	"strings"
)

// DefaultScript answers like a healthy OpenAI-compatible server: a chat request
// with a short stream or a whole answer, with usage as it asked for, GET …/models
// with one model, and anything else with 404.
func DefaultScript(e *Exchange) {
	path, _, _ := strings.Cut(e.Request.Target, "?")
	switch {
	case strings.HasSuffix(path, "/models"):
		e.JSON(http.StatusOK, `{"object":"list","data":[{"id":"fake-model","object":"model","created":1700000000,"owned_by":"fake"}]}`)
	case strings.HasSuffix(path, "/chat/completions"):
		answerChat(e)
	default:
		e.JSON(http.StatusNotFound, ErrorBody("no such path", "invalid_request_error", ""))
	}
}

func answerChat(e *Exchange) {
	asked := e.Asked()
	o := ChatOptions{Model: asked.Model, IncludeUsage: asked.StreamOptions.IncludeUsage}
	if !asked.Stream {
		e.JSON(http.StatusOK, ChatAnswer(o))
		return
	}
	e.StreamHead()
	e.Play(ChatStream(o))
}

// Asked is the part of a chat request that scripts look at.
type Asked struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage         bool `json:"include_usage"`
		ContinuousUsageStats bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

// Asked parses the body of the request; a body that is no JSON object asks for
// nothing.
func (e *Exchange) Asked() Asked {
	var a Asked
	if err := json.Unmarshal(e.Request.Body, &a); err != nil {
		return Asked{}
	}
	return a
}
