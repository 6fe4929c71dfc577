package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// Recorded streams that end at any of their bytes count as whole only where their content
// says so: in three framings, of which chunks are divided as events are and at random.
// SLUICE_CUTS is how many cuts there are of each in each framing; 0 is every byte.
//
// rows B8, B9, B10
func TestRecordedStreamsCutAnywhere(t *testing.T) {
	t.Parallel()
	cuts, err := strconv.Atoi(os.Getenv("SLUICE_CUTS"))
	if err != nil {
		cuts = 6
	}
	whole, cut := 0, 0
	for i, c := range streams(t) {
		if c.Meta.API == "openai-completions" {
			continue // the oracle knows chat and responses
		}
		dice := rand.New(rand.NewPCG(uint64(i), 7))
		r := newRig(t)
		for name, framing := range framings {
			divisions := map[string][][]byte{"in one": {c.Response}}
			if framing == fakeprovider.Chunked {
				divisions["at random"] = recordings.Chunks(dice, c.Response)
			}
			for division, pieces := range divisions {
				f := fixture{path: recordedPath(c), request: requestFor(c, "m", true), ends: chatEnds, sentinel: done, pieces: pieces}
				if c.Meta.API == "openai-responses" {
					f.ends, f.sentinel = responseEnds, ""
				}
				for _, at := range placesToCut(dice, len(c.Response), cuts) {
					if f.isWholeAt(t, r, framing, at, fmt.Sprint(name, " ", division, " of ", c.Path)) {
						whole++
					} else {
						cut++
					}
				}
			}
		}
	}
	t.Logf("%d cuts: %d after the content was whole, %d before", whole+cut, whole, cut)
}

// placesToCut are n places within a body of that size, or all where n is 0.
func placesToCut(dice *rand.Rand, size, n int) (places []int) {
	if n == 0 {
		n = size
	}
	for i := range n {
		at := i
		if n < size {
			at = dice.IntN(size)
		}
		places = append(places, at)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// isWholeAt cuts the fixture behind so many bytes of its content, and tells whether it counts
// as whole.
func (f fixture) isWholeAt(t *testing.T, r *rig, framing fakeprovider.Framing, at int, what string) bool {
	t.Helper()
	wire, places := f.wire(framing)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire[:places[at]]) })
	id := fmt.Sprint("cut-", len(r.ledger.Recent(0)))
	c := r.dial()
	p := c.askOn(f.path, f.request, "X-Request-Id: "+id)
	require.NoError(t, c.Close())
	rec := r.record(id)
	content := bytes.Join(f.pieces, nil)[:at]
	whole := rec.Outcome == accounting.OutcomeCompleted
	if whole {
		_, is := f.expected(bytes.Clone(content))
		require.True(t, is, "%s, cut at %d, is taken for whole", what, at)
	} else {
		require.True(t, p.err != nil || p.status >= 500, "%s, cut at %d, ends well", what, at)
	}
	return whole
}
