package translate

import (
	"crypto/sha256"
	"math/big"
	"strconv"
)

// MintCallID makes an id for a tool call that came without one. It depends on nothing
// but its arguments, and fits every provider: 28 characters of [A-Za-z0-9_].
func MintCallID(answerID string, choice, call int) string {
	return "call_" + digest(answerID+"\x00"+strconv.Itoa(choice)+"\x00"+strconv.Itoa(call), 23)
}

// CallID returns id as another provider accepts it: itself if it is at most longest
// bytes of those that allowed names, else a name made of it. The same id always gives
// the same result, so that a call and its answer stay together over all turns, and
// different ids give different results.
func CallID(id string, longest int, allowed func(c byte) bool) string {
	fits := id != "" && len(id) <= longest
	for i := 0; fits && i < len(id); i++ {
		fits = allowed(id[i])
	}
	if fits {
		return id
	}
	return digest(id, min(longest, 24))
}

// IsWord tells whether c is a letter, a digit, _ or -: what Anthropic takes in ids.
func IsWord(c byte) bool { return IsAlnum(c) || c == '_' || c == '-' }

// IsAlnum tells whether c is a letter or digit of ASCII.
func IsAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// digest is a hash of text in n letters and digits.
func digest(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	digits := new(big.Int).SetBytes(sum[:]).Text(62)
	for len(digits) < n {
		digits = "0" + digits
	}
	return digits[:n]
}
