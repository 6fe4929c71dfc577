package recordings

import "math/rand/v2"

const (
	// maxChunks is about how many pieces Chunks makes of a long body: a test that sends
	// each in a write of its own must come to its end.
	maxChunks = 400
	// maxSingles is how long a body may be for Chunks to cut it into single bytes.
	maxSingles = 4096
)

// Chunks cuts a body at random places, as a network may: into pieces of a few bytes, of
// many, single bytes among them, and now and then into nothing but single bytes. The
// pieces share the memory of body.
func Chunks(rng *rand.Rand, body []byte) [][]byte {
	var pieces [][]byte
	most := []int{1, 4, 60, 900, 9000}[rng.IntN(5)]
	if most > 1 || len(body) > maxSingles {
		most = max(most, 2*len(body)/maxChunks)
	}
	for len(body) > 0 {
		n := 1 + rng.IntN(most)
		if rng.IntN(8) == 0 {
			n = 1
		}
		n = min(n, len(body))
		pieces, body = append(pieces, body[:n:n]), body[n:]
	}
	return pieces
}
