package translate

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func askOf(t *testing.T, names string) Ask {
	t.Helper()
	var quirks []string
	for name := range strings.FieldsSeq(names) {
		if slices.Contains(QuirkNames, name) {
			quirks = append(quirks, name)
		}
	}
	parsed, err := ParseQuirks(quirks)
	require.NoError(t, err)
	return Ask{
		Quirks:          parsed,
		IncludeUsage:    strings.Contains(names, "include_usage"),
		ContinuousUsage: strings.Contains(names, "continuous_usage"),
	}
}

func TestPrepareGolden(t *testing.T) {
	eachGolden(t, "prepare", func(t *testing.T, file goldenFile) {
		rule, hide, ask := file.rules("rule"), file.rules("hide"), askOf(t, file.rules("rule")["ask"])
		body := []byte(file["input"])
		r, failed := ParseRequest(Endpoint(rule["endpoint"]), body)
		require.Nil(t, failed)

		out := r.Prepare(nil, body, rule["model"], ask)
		if file["output"] == "same" {
			require.Same(t, &body[0], &out[0])
			require.Len(t, out, len(body))
		} else {
			require.Equal(t, file["output"], string(out))
		}
		require.Equal(t, file["input"], string(body), "the client's body is not written to")
		require.Equal(t, hide["usage"], strconv.FormatBool(r.HideUsage(ask)))
		require.Equal(t, hide["running"], strconv.FormatBool(r.HideRunningUsage(ask)))
	})
}

func TestPreparedBodyNeedsNoSecondPreparing(t *testing.T) {
	eachGolden(t, "prepare", func(t *testing.T, file goldenFile) {
		rule := file.rules("rule")
		ask := askOf(t, rule["ask"])
		body := []byte(file["input"])
		r, failed := ParseRequest(Endpoint(rule["endpoint"]), body)
		require.Nil(t, failed)
		prepared := r.Prepare(nil, body, rule["model"], ask)

		again, failed := ParseRequest(Endpoint(rule["endpoint"]), prepared)
		require.Nil(t, failed)
		require.Equal(t, string(prepared), string(again.Prepare(nil, prepared, rule["model"], ask)))
		require.False(t, again.HideUsage(ask), "the upstream sees a client that asked")
	})
}

func TestPrepareAppendsBehindWhatIsThere(t *testing.T) {
	body := []byte(`{"model":"a"}`)
	r, failed := ParseRequest(ChatCompletions, body)
	require.Nil(t, failed)

	small := r.Prepare([]byte("head "), body, "b", Ask{})
	require.Equal(t, `head {"model":"b"}`, string(small))

	roomy := make([]byte, 5, 100)
	copy(roomy, "head ")
	out := r.Prepare(roomy, body, "b", Ask{})
	require.Equal(t, `head {"model":"b"}`, string(out))
	require.Same(t, &roomy[0], &out[0], "room that is there is used")
}

func TestPrepareWithoutUpstreamModelKeepsTheName(t *testing.T) {
	body := []byte(`{"model":"a"}`)
	r, failed := ParseRequest(ChatCompletions, body)
	require.Nil(t, failed)
	require.Same(t, &body[0], &r.Prepare(nil, body, "", Ask{IncludeUsage: true})[0])
}
