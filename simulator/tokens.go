package simulator

import (
	"crypto/rand"
	"math/big"
	"unicode"
	"unicode/utf8"
)

// maxTokenRunes is the longest piece of a word that is one token.
const maxTokenRunes = 8

// tokenize cuts text into tokens; joined again they are the text.
func tokenize(text string) []string {
	var tokens []string
	for len(text) > 0 {
		n := tokenLength(text)
		tokens = append(tokens, text[:n])
		text = text[n:]
	}
	return tokens
}

// tokenLength is the length in bytes of the token that text begins with.
func tokenLength(text string) int {
	n := 0
	if text[0] == ' ' && len(text) > 1 {
		n = 1
	}
	for runes := 0; runes < maxTokenRunes; runes++ {
		r, size := utf8.DecodeRuneInString(text[n:])
		wordy := size > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r))
		if !wordy && runes > 0 {
			return n
		}
		if !wordy {
			return n + max(size, 1)
		}
		n += size
	}
	return n
}

// countTokens is len(tokenize(text)) without the slices.
func countTokens(text string) int {
	n := 0
	for ; len(text) > 0; n++ {
		text = text[min(tokenLength(text), len(text)):]
	}
	return n
}

const idLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID returns prefix and 24 random letters.
func newID(prefix string) string {
	id := make([]byte, 24)
	for i := range id {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(idLetters))))
		if err != nil {
			panic("reading random bytes: " + err.Error())
		}
		id[i] = idLetters[n.Int64()]
	}
	return prefix + string(id)
}
