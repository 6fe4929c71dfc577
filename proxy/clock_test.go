package proxy

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// monotonic tells whether t has a reading of the clock that does not jump, which is what
// time.Since and its like go by then (package time, "Monotonic Clocks").
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }

// The time of a request is taken on the clock that does not jump, however its bytes came,
// so that no limit and no duration of it follows a jump of the other.
// row D5
func TestExchangesGoByAClockThatDoesNotJump(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	jumps, seen := 0, 0
	r.srv.onPhase = func(x *exchange, p accounting.Phase) {
		mu.Lock()
		defer mu.Unlock()
		seen++
		if !monotonic(x.start) || p == accounting.PhaseTail && !monotonic(x.down.RequestStart()) {
			jumps++
		}
	}
	c := r.dial()
	require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
	require.Equal(t, 200, c.askOn(chatPath, streamBody).status) // on a kept connection
	for range 2 {                                               // behind each other
		c.send("POST", chatPath, streamBody)
	}
	for range 2 {
		read(c.response()).requireWhole(t)
	}
	slow := r.dial()
	for _, part := range []string{"POST ", chatPath + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n", "Content-Length: 2\r\n\r\n", "{}"} {
		_, err := io.WriteString(slow, part)
		require.NoError(t, err)
	}
	require.Equal(t, 400, slow.response().StatusCode)
	for _, rec := range r.allEnded() {
		require.Positive(t, rec.Total)
		require.LessOrEqual(t, rec.ToHeaders, rec.Total)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Positive(t, seen)
	require.Zero(t, jumps)
}

// wallClock is what takes the reading of the clock that does not jump away from a time.
var wallClock = regexp.MustCompile(`\.(UnixNano|UnixMicro|UnixMilli|UTC|Local|In|Truncate)\(|\.Round\(0\)`)

// Nothing between the listener and the upstream takes times apart that it would compare or
// subtract afterwards.
// row D5
func TestNoTimeLosesItsClock(t *testing.T) {
	t.Parallel()
	files := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		require.Empty(t, wallClock.FindAllString(string(text), -1), "%s", path)
		return err
	}))
	require.Greater(t, files, 50)
}
