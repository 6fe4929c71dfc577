package translate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCasesAreWhatTheySay(t *testing.T) {
	require.GreaterOrEqual(t, len(validValues), 95)
	require.GreaterOrEqual(t, len(invalidValues), 188)
	require.GreaterOrEqual(t, len(openValues), 35)
	known := map[string]bool{}
	for _, value := range slices.Concat(validValues, invalidValues, openValues) {
		require.False(t, known[value], "twice: %q", value)
		known[value] = true
	}
	for _, value := range validValues {
		require.True(t, json.Valid([]byte(value)), "%q", value)
	}
	for _, value := range invalidValues {
		require.False(t, json.Valid([]byte(value)), "%q", value)
	}
}

// row C1
func TestRequestJSONThatMustBeAccepted(t *testing.T) {
	for _, value := range validValues {
		for _, body := range []string{
			`{"model":"m","x":` + value + `}`,
			`{"x": ` + value + ` ,"model":"m"}`,
			`{"x":[` + value + `,` + value + `],"model":"m"}`,
			`{"model":"m","messages":[{"role":"user","content":` + value + `}]}`,
		} {
			r, failed := ParseRequest(ChatCompletions, []byte(body))
			require.Nil(t, failed, "%q", body)
			require.Equal(t, "m", r.Model)
			require.Equal(t, strings.Replace(body, `"m"`, `"up"`, 1), string(r.Prepare(nil, []byte(body), "up", Ask{})))
		}
		refused(t, value) // nothing of all this names a model
	}
}

// row C1
func TestRequestJSONThatMustBeRefused(t *testing.T) {
	for _, value := range invalidValues {
		for _, body := range []string{
			value,
			`{"model":"m","x":` + value + `}`,
			`{"x":` + value + `,"model":"m"}`,
			`{"model":"m","messages":[{"role":"user","content":` + value + `}]}`,
			`{"model":"m"}` + value,
			value + `{"model":"m"}`,
		} {
			if !json.Valid([]byte(body)) { // some only fail alone
				require.Equal(t, CodeInvalidJSON, refused(t, body), "%q", body)
			}
		}
	}
}

// row C1: what RFC 8259 leaves to parsers does no harm, and what is accepted is passed on
// as it is.
func TestRequestJSONThatIsLeftToParsers(t *testing.T) {
	for _, value := range openValues {
		refused(t, value)
		refused(t, value+`{"model":"m"}`)
		for _, body := range []string{
			`{"model":"m","x":` + value + `}`,
			`{"model":"m","messages":[{"role":"user","content":` + value + `}]}`,
		} {
			r, failed := ParseRequest(ChatCompletions, []byte(body))
			if failed != nil {
				require.Contains(t, []string{CodeInvalidJSON, CodeJSONTooDeep}, failed.Code, "%q", body)
				continue
			}
			require.Equal(t, strings.Replace(body, `"m"`, `"up"`, 1), string(r.Prepare(nil, []byte(body), "up", Ask{})))
			chat, failed := ParseChat([]byte(body))
			require.True(t, chat != nil || failed.Status == 400)
		}
		for _, member := range []string{"model", "stream", "stream_options", "n", "max_tokens"} {
			body := `{"x":"m","` + member + `":` + value + `}`
			if _, failed := ParseRequest(ChatCompletions, []byte(body)); failed != nil {
				require.True(t, json.Valid(failed.AppendJSON(nil)), "%q", body)
			}
		}
	}
}

// refused is the code with which a body is refused, which it must be.
func refused(t *testing.T, body string) string {
	t.Helper()
	r, failed := ParseRequest(ChatCompletions, []byte(body))
	require.Nil(t, r, "%q", body)
	require.NotNil(t, failed, "%q", body)
	require.Equal(t, 400, failed.Status, "%q", body)
	return failed.Code
}

func TestRequestCutAtEveryByteIsRefused(t *testing.T) {
	body := `{"model":"m","stream":true,"x":[1.5e3,{"a":"\u00e9\\"},null,false],"stream_options":{"include_usage":true}}`
	for i := range body {
		_, failed := ParseRequest(ChatCompletions, []byte(body[:i]))
		require.NotNil(t, failed, body[:i])
		require.Equal(t, CodeInvalidJSON, failed.Code, body[:i])
	}
}

func TestWalkingAnyBytesEnds(t *testing.T) {
	pieces := []string{`{`, `}`, `[`, `]`, `"`, `\`, `:`, `,`, ` `, `1`, `"a"`, `null`}
	var walk func(prefix string, left int)
	walk = func(prefix string, left int) {
		body := []byte(prefix)
		end := walkObject(body, 0, 2, func(key, value span) {
			require.Less(t, key.start, key.end)
			require.Less(t, value.start, value.end)
			require.LessOrEqual(t, value.end, len(body))
		})
		require.LessOrEqual(t, end, len(body))
		if json.Valid(body) && strings.HasPrefix(strings.TrimSpace(prefix), "{") {
			require.GreaterOrEqual(t, end, 0, prefix)
			require.Equal(t, len(body), skipSpace(body, end), prefix)
		}
		valueEnd(body, 0, 2)
		if left == 0 {
			return
		}
		for _, piece := range pieces {
			walk(prefix+piece, left-1)
		}
	}
	walk("{", 4)
}
