//go:build linux

package main

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is the body that the mock sends, without its framing, as lines of events.
func answer(t *testing.T, chunks int) []string {
	t.Helper()
	var events []string
	for i := range chunks {
		events = append(events, payload(t, newFrame(i == 0).stamped(i, int64(1000+i))))
	}
	rest := strings.TrimSuffix(string(ending(chunks)), "0\r\n\r\n")
	for rest != "" {
		_, body, found := strings.Cut(rest, "\r\n")
		require.True(t, found)
		event, after, found := strings.Cut(body, "\r\n")
		require.True(t, found)
		events = append(events, event)
		rest = after
	}
	return events
}

// payload takes the chunk framing off an event.
func payload(t *testing.T, chunk []byte) string {
	t.Helper()
	_, body, found := strings.Cut(string(chunk), "\r\n")
	require.True(t, found)
	return strings.TrimSuffix(body, "\r\n")
}

func judge(c *checker, want int, body string, split func(rest int) int) (sent []int64, err error) {
	c.reset(want)
	for body != "" {
		n := split(len(body))
		if err := c.feed([]byte(body[:n]), func(at int64) { sent = append(sent, at) }); err != nil {
			return sent, err
		}
		body = body[n:]
	}
	return sent, c.verdict()
}

func whole(rest int) int { return rest }

func TestCheckerAcceptsTheWholeAnswer(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	splits := map[string]func(int) int{
		"in one piece":     whole,
		"byte by byte":     func(int) int { return 1 },
		"in random pieces": func(rest int) int { return 1 + random.IntN(min(rest, 500)) },
	}
	body := strings.Join(answer(t, 7), "")
	for name, split := range splits {
		t.Run(name, func(t *testing.T) {
			var c checker
			for range 3 { // a checker is used again
				sent, err := judge(&c, 7, body, split)
				require.NoError(t, err)
				require.Equal(t, []int64{1000, 1001, 1002, 1003, 1004, 1005, 1006}, sent)
			}
			_, err := judge(&c, 0, body, split)
			require.NoError(t, err, "the usage chunk states the number")
		})
	}
}

func TestCheckerAcceptsWhatProxiesMayChange(t *testing.T) {
	f := func(name string, change func(string) string) {
		t.Helper()
		var c checker
		_, err := judge(&c, 3, change(strings.Join(answer(t, 3), "")), whole)
		require.NoError(t, err, name)
	}

	f("CRLF line ends", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") })
	f("comments", func(s string) string { return ": keep-alive\n\n" + s })
	f("no blank after the colon", func(s string) string { return strings.ReplaceAll(s, "data: ", "data:") })
	f("event names", func(s string) string { return strings.ReplaceAll(s, "data: ", "event: x\ndata: ") })
}

func TestCheckerNamesWhatIsWrong(t *testing.T) {
	f := func(name string, kind error, change func([]string) []string) {
		t.Helper()
		var c checker
		_, err := judge(&c, 4, strings.Join(change(answer(t, 4)), ""), whole)
		require.ErrorIs(t, err, kind, name)
		require.Equal(t, kind.Error(), kindOf(err), name)
	}
	without := func(i int) func([]string) []string {
		return func(e []string) []string { return append(e[:i:i], e[i+1:]...) }
	}

	f("a delta is lost", errOrder, without(1))
	f("the last delta is lost", errMissing, without(3))
	f("the finish chunk is lost", errMissing, without(4))
	f("the usage chunk is lost", errMissing, without(5))
	f("the sentinel is lost", errCut, without(6))
	f("the body is empty", errCut, func([]string) []string { return nil })
	f("deltas change places", errOrder, func(e []string) []string { e[1], e[2] = e[2], e[1]; return e })
	f("a delta comes twice", errOrder, func(e []string) []string { e[2] = e[1] + e[2]; return e })
	f("content after the finish chunk", errOrder, func(e []string) []string { e[3], e[4] = e[4], e[3]; return e })
	f("an event after the sentinel", errMalformed, func(e []string) []string { return append(e, e[0]) })
	f("broken JSON", errMalformed, func(e []string) []string { e[2] = e[2][:20] + "\n\n"; return e })
	f("foreign content", errMalformed, func(e []string) []string { e[2] = strings.Replace(e[2], "@", "#", 1); return e })
	f("a wrong usage", errMalformed, func(e []string) []string {
		e[5] = strings.Replace(e[5], `"completion_tokens":4`, `"completion_tokens":5`, 1)
		return e
	})
	f("an error event", errCut, func(e []string) []string { return append(e[:2:2], "data: {\"error\":{\"code\":\"x\"}}\n\n") })
}

func TestStampSurvivesThePatch(t *testing.T) {
	f := func(number int, sent int64) {
		t.Helper()
		text := make([]byte, stampLength)
		putStamp(text, number, sent)
		n, at, ok := readStamp(string(text))
		require.True(t, ok)
		require.Equal(t, number, n)
		require.Equal(t, sent, at)
	}

	f(0, 1)
	f(199, 1_767_225_600_123_456_789)
	f(maxChunks-1, 1<<62)
}

func FuzzChecker(f *testing.F) {
	f.Add([]byte("data: [DONE]\n\n"), uint8(3))
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"000000@\"}}]}\r\n\r\n"), uint8(9))
	f.Add([]byte("data: {\"usage\":{\"completion_tokens\":1}}\n: x\ndata:{}"), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, step uint8) {
		var once, pieces checker
		_, want := judge(&once, 2, string(body), whole)
		_, got := judge(&pieces, 2, string(body), func(rest int) int { return min(rest, int(step)+1) })
		require.Equal(t, want == nil, got == nil, "the verdict depends on the pieces")
		if want != nil {
			require.Equal(t, kindOf(want), kindOf(got))
			require.False(t, errors.Is(got, errConnect))
		}
	})
}
