package fakeprovider

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVoicesAnswerInJSON(t *testing.T) {
	said := Said{
		Thinking: "hm \"", Signature: "c2ln", Texts: []string{"a\n", "b"},
		Calls: []ToolCall{{ID: "call_1", Name: "look", Arguments: []string{`{"at":`, `"sea"}`}}},
	}
	for _, v := range Voices() {
		for name, s := range map[string]Said{"all": said, "text": {Texts: said.Texts}, "calls": {Calls: said.Calls}} {
			require.True(t, json.Valid([]byte(v.Answer(s))), "%s, %s: %s", v, name, v.Answer(s))
			require.NotEmpty(t, v.Fresh().Stream(s), v)
		}
	}
}
