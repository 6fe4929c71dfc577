package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// maxBody bounds a request body in bytes.
const maxBody = 32 << 20

// Bounds that OpenAI's own API sets.
const (
	maxChoices = 128
	maxStops   = 4
)

// generation is what chat and legacy requests have in common.
type generation struct {
	Model         string     `json:"model"`
	Stream        bool       `json:"stream"`
	StreamOptions *streaming `json:"stream_options"`
	N             *int       `json:"n"`
	MaxTokens     *int       `json:"max_tokens"`
	Stop          texts      `json:"stop"`
}

type streaming struct {
	IncludeUsage bool `json:"include_usage"`
}

func (g *generation) includeUsage() bool {
	return g.StreamOptions != nil && g.StreamOptions.IncludeUsage
}

func (g *generation) choices() int {
	if g.N == nil {
		return 1
	}
	return *g.N
}

func (g *generation) check() *failure {
	switch {
	case g.StreamOptions != nil && !g.Stream:
		return invalid("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case g.N != nil && (*g.N < 1 || *g.N > maxChoices):
		return invalid("n", "n must be between 1 and 128.")
	case g.MaxTokens != nil && *g.MaxTokens < 1:
		return invalid("max_tokens", "max_tokens must be at least 1.")
	case len(g.Stop) > maxStops:
		return invalid("stop", "stop may have up to 4 sequences.")
	}
	return nil
}

// texts is a string or a list of strings; null is none.
type texts []string

var errNotTexts = errors.New("neither a string nor a list of strings")

func (t *texts) UnmarshalJSON(raw []byte) error {
	var one *string
	if json.Unmarshal(raw, &one) == nil {
		if one != nil {
			*t = texts{*one}
		}
		return nil
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		return errNotTexts
	}
	*t = many
	return nil
}

// readJSON decodes the body into v, which must point to a struct.
func readJSON(w http.ResponseWriter, r *http.Request, v any) *failure {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	if err != nil {
		return errNotJSON
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil || object == nil {
		return errNotJSON
	}
	if err := json.Unmarshal(body, v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return invalid(wrong.Field, "Invalid type for this parameter.")
		}
		return invalid("", "Invalid value for a parameter of this request.")
	}
	return nil
}
