package translate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReshapeErrorGolden(t *testing.T) {
	eachGolden(t, "errors", func(t *testing.T, file goldenFile) {
		rule := file.rules("rule")
		status, err := strconv.Atoi(rule["status"])
		require.NoError(t, err)
		body := []byte(file["input"])

		out := ReshapeError(status, rule["content_type"], body)
		requireMessage(t, out)
		if file["output"] == "same" {
			require.Equal(t, file["input"], string(out))
			require.Same(t, &body[0], &out[0])
			return
		}
		require.Equal(t, file["output"], string(out))
	})
}

// requireMessage checks that a body is an error in OpenAI's shape with a message.
func requireMessage(t *testing.T, body []byte) {
	t.Helper()
	var e struct {
		Error *struct{ Message string }
	}
	require.NoError(t, json.Unmarshal(body, &e), "%q", body)
	require.NotNil(t, e.Error, "%q", body)
	require.NotEmpty(t, strings.TrimSpace(e.Error.Message), "%q", body)
}

func TestReshapeErrorOddBodies(t *testing.T) {
	f := func(body string) []byte {
		t.Helper()
		out := ReshapeError(500, "application/json", []byte(body))
		requireMessage(t, out)
		return out
	}
	f("null")
	f("[]")
	f("[[]]")
	f("{}")
	f("0")
	f(`{"error":500}`)
	f(`{"error":[]}`)
	f(`{"error":[null,{}]}`)
	f(`{"error":true,"message":7}`)
	f(`{"message":{"message":{"message":{"message":{"message":{"message":"too far in"}}}}}}`)
	f(strings.Repeat("[", 1_000_000))
	f(strings.Repeat(`{"error":`, 100) + `""` + strings.Repeat("}", 100))
	f(`{"errors":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 100_000), ",") + `]}`)
	f("data:")
	f("id:1\n\n")

	require.Less(t, len(f(`{"errors":[`+strings.TrimSuffix(strings.Repeat(`"x",`, 100_000), ",")+`]}`)), 200)

	require.Contains(t, string(f("\xef\xbb\xbf{\"error\":{\"message\":\"marked\"}}")), `{"error":{"message":"marked"}}`)
	require.True(t, json.Valid(f("{\"error\":{\"message\":\"broken \xff byte\",\"code\":\"c\"}}")))
	require.Contains(t, string(f("{\"error\":{\"message\":\"broken \xff byte\",\"code\":\"c\"}}")), "broken \uFFFD byte")
}

func TestLongPlainTextIsCutBetweenCharacters(t *testing.T) {
	for shift := range 4 {
		out := ReshapeError(500, "", []byte(strings.Repeat("x", shift)+strings.Repeat("é😀 ", 200)))
		requireMessage(t, out)
		require.NotContains(t, string(out), "\uFFFD")
		require.Less(t, len(out), maxPlainMessage+100)
	}
}

func TestBinaryTextIsNotShown(t *testing.T) {
	for _, body := range []string{"a\x00b", "a\x1b[31mb", "\xff\xfe", "\x1f\x8b\x08"} {
		out := ReshapeError(500, "text/plain", []byte(body))
		require.Contains(t, string(out), "The provider answered with status 500")
	}
}

func TestRecordedErrorsKeepTheirMessages(t *testing.T) {
	paths, err := filepath.Glob("../../shared/captures/*/*-http-*/response.*")
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("the recordings are not here")
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		var meta struct{ Status int }
		described, err := os.ReadFile(filepath.Join(filepath.Dir(path), "meta.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(described, &meta))

		out := ReshapeError(meta.Status, "application/json", body)
		requireMessage(t, out)
		require.NotContains(t, string(out), "The provider answered with status", path)
	}
}

func TestRecordedRequestsAreUnderstood(t *testing.T) {
	paths, err := filepath.Glob("../../shared/captures/*/*/request.json")
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("the recordings are not here")
	}
	for _, path := range paths {
		described, err := os.ReadFile(filepath.Join(filepath.Dir(path), "meta.json"))
		require.NoError(t, err)
		var meta struct{ API string }
		require.NoError(t, json.Unmarshal(described, &meta))
		if meta.API != "openai-chat" {
			continue
		}
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		checkPrepare(t, ChatCompletions, body, "another-model", Ask{IncludeUsage: true, ContinuousUsage: true})
	}
}
