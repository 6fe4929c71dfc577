package recordings

import (
	"encoding/json"
	"strings"
)

// messageIn finds a provider's words in the body of an error: under error.message, or
// what error, message or detail say themselves, perhaps with an array around it. Empty
// if there are none.
func messageIn(body []byte) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	return messageOf(v)
}

func messageOf(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case []any:
		if len(v) > 0 {
			return messageOf(v[0])
		}
	case map[string]any:
		for _, name := range []string{"error", "message", "detail", "msg"} {
			if text := messageOf(v[name]); text != "" {
				return text
			}
		}
	}
	return ""
}
