package accounting

import (
	"bytes"
	"unicode/utf8"
)

// sampledPieceBytes is how much text is tokenised at a time where only a part of it is:
// many small places tell more of it than a few large ones.
const sampledPieceBytes = 1 << 10

// sampling chooses the pieces of a text that are tokenised, evenly all over it. The zero
// value chooses all.
type sampling struct {
	// of is how many bytes there are in all for each byte that is to be tokenised; up to
	// one, all are.
	of          float64
	seen, taken int64
	// The same in roughTokens, so that the rest of a text counts by what it is made of:
	// numbers and source code take more tokens a byte than prose.
	seenRough, takenRough int64
}

// samplingOf spreads budget bytes over a text of about size bytes.
func samplingOf(size, budget int64) sampling {
	return sampling{of: float64(size) / float64(max(budget, 1))}
}

// samplingOfPrompt spreads budget bytes over the texts of a request.
func samplingOfPrompt(requestBody []byte, budget int64) sampling {
	if int64(len(requestBody)) <= budget {
		return sampling{}
	}
	return samplingOf(textBytes(requestBody), budget)
}

// textBytes is about how much of a JSON text is text: all of it but the long strings
// without a space in them, which are pictures, sound or files.
func textBytes(body []byte) (n int64) {
	const short = 1 << 10
	for len(body) > 0 {
		end := bytes.IndexByte(body, '"')
		if end < 0 {
			end = len(body)
		}
		if piece := body[:end]; len(piece) <= short || piece[short/2] >= utf8.RuneSelf || bytes.IndexByte(piece, ' ') >= 0 {
			n += int64(len(piece))
		}
		body = body[min(end+1, len(body)):]
	}
	return n
}

func (s *sampling) partly() bool { return s.of > 1 }

func (s *sampling) pieceBytes() int {
	if s.partly() {
		return sampledPieceBytes
	}
	return pieceBytes
}

// take says whether the next piece is to be tokenised.
func (s *sampling) take(piece string) bool {
	if !s.partly() {
		return true
	}
	take := float64(s.taken)*s.of <= float64(s.seen)
	rough := roughTokens(piece)
	s.seen += int64(len(piece))
	s.seenRough += rough
	if take {
		s.taken += int64(len(piece))
		s.takenRough += rough
	}
	return take
}

// scaled returns what n, counted in the pieces that were taken, is for all of them.
func (s *sampling) scaled(n float64) float64 {
	if s.takenRough == 0 {
		return n
	}
	return n * (float64(s.seenRough) / float64(s.takenRough))
}

// roughTokens guesses the tokens of a text from its bytes alone, in hundredths.
func roughTokens(s string) (n int64) {
	for i := range len(s) {
		n += roughToken[s[i]]
	}
	return n
}

var roughToken = func() (table [256]int64) {
	for b := range table {
		switch {
		case b >= utf8.RuneSelf:
			table[b] = 33
		case asciiMark[b] == markDigit:
			table[b] = 40
		case asciiMark[b] == markPunct:
			table[b] = 55
		case b == '\n':
			table[b] = 50
		case b == ' ' || b == '\t' || b == '\r':
			table[b] = 4
		default:
			table[b] = 20
		}
	}
	return table
}()
