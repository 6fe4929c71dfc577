package accounting

import (
	"unicode"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

// vocabulary says how a family of models divides text into tokens: with one of OpenAI's
// encodings itself, or near it. What differs is measured: text in a script takes so many
// times the tokens of the encoding, and some characters more or fewer than it has for
// them. A tokenizer that writes each digit on its own needs more for numbers.
type vocabulary struct {
	encoding tokenizer.Encoding
	// assumed says that the family's own vocabulary is unknown, and the encoding stands in.
	assumed bool
	// ratio multiplies the tokens of the text in a script; all zero says that the encoding
	// is taken as it is.
	ratio [scripts]float64
	// per is added for each character of a kind.
	per [marks]float64
}

// mark is a kind of character that vocabularies treat differently, whatever the script of
// the text around it.
type mark uint8

const (
	markNone    mark = iota // all others
	markDigit               // ASCII digits
	markPunct               // ASCII punctuation
	markNewline             // line ends
	markLatin               // Latin letters beyond ASCII
	markKana                // Japanese syllables
	markSign                // no letters and beyond ASCII: typographic signs, arrows, emoji
	marks
)

// plain reports whether the encoding is taken as it is.
func (v *vocabulary) plain() bool { return v.ratio[scriptLatin] == 0 }

// basis says what the tokens are counted with; see Estimator.Basis.
func (v *vocabulary) basis(family string) string {
	switch {
	case v.assumed:
		return "assumed:" + string(v.encoding)
	case v.plain():
		return string(v.encoding)
	}
	return "calibrated:" + family
}

// tokens returns the tokens of s.
func (v *vocabulary) tokens(codec tokenizer.Codec, s string) (n float64, err error) {
	if v.plain() {
		whole, err := codec.Count(s)
		return float64(whole), err
	}
	eachScript(s, func(in script, run string) {
		counted, failed := codec.Count(run)
		n += v.ratio[in] * float64(counted)
		if failed != nil {
			err = failed
		}
	})
	var seen [marks]int
	countMarks(&seen, s)
	for m, per := range v.per {
		n += per * float64(seen[m])
	}
	// No vocabulary of today needs more than a token for each byte.
	return min(max(n, 1), float64(len(s))), err
}

// countMarks adds the characters of s to seen.
func countMarks(seen *[marks]int, s string) {
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			seen[asciiMark[b]]++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch in, letter := scriptOf(r); {
		case !letter:
			seen[markSign]++
		case in == scriptLatin:
			seen[markLatin]++
		case isKana(r):
			seen[markKana]++
		}
	}
}

var asciiMark = func() (table [utf8.RuneSelf]mark) {
	for b := range table {
		switch r := rune(b); {
		case unicode.IsDigit(r):
			table[b] = markDigit
		case r == '\n':
			table[b] = markNewline
		case unicode.IsGraphic(r) && !unicode.IsLetter(r) && r != ' ':
			table[b] = markPunct
		}
	}
	return table
}()
