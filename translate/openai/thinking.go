package openai

import "strconv"

// thinking splits the text of a choice into what the model thought and what it said,
// where the thoughts stand between tags at the beginning. It works on the insides of
// JSON strings, of which any may end within a tag. Later tags are text: a model may
// well write about them.
type thinking struct {
	state   thinkingState
	matched int    // characters of the tag that have been met
	held    []byte // what may turn out to be the tag, with white space in front of it
}

type thinkingState uint8

const (
	beforeTag thinkingState = iota
	thinks
	speaks
)

// maxBlank bounds the white space in front of the tag.
const maxBlank = 64

// split appends the thoughts and the words in a piece of text.
func (t *thinking) split(thoughts, words []byte, escaped string) (_, _ []byte) {
	for len(escaped) > 0 && t.state != speaks {
		size, char := character(escaped)
		piece := escaped[:size]
		escaped = escaped[size:]
		tag := "<think>"
		if t.state == thinks {
			tag = "</think>"
		}
		switch {
		case char == tag[t.matched]:
			t.held = append(t.held, piece...)
			if t.matched++; t.matched == len(tag) {
				t.state++
				t.matched, t.held = 0, t.held[:0]
			}
		case t.state == beforeTag && t.matched == 0 && isBlank(char) && len(t.held) < maxBlank:
			t.held = append(t.held, piece...)
		case t.state == beforeTag:
			words = append(append(words, t.held...), piece...)
			t.state, t.held = speaks, nil
		default:
			thoughts = append(thoughts, t.held...)
			t.matched, t.held = 0, t.held[:0]
			if char == '<' {
				t.matched, t.held = 1, append(t.held, piece...)
			} else {
				thoughts = append(thoughts, piece...)
			}
		}
	}
	return thoughts, append(words, escaped...)
}

// rest appends what was held back when the text has come to its end.
func (t *thinking) rest(thoughts, words []byte) (_, _ []byte) {
	if t.state == thinks {
		thoughts = append(thoughts, t.held...)
	} else {
		words = append(words, t.held...)
	}
	t.matched, t.held = 0, nil
	return thoughts, words
}

// character is the size of the first character of the inside of a JSON string, and what
// it means if that is ASCII; some servers write < as an escape sequence.
func character(escaped string) (size int, char byte) {
	if escaped[0] != '\\' || len(escaped) < 2 {
		return 1, escaped[0]
	}
	switch escaped[1] {
	case 'u':
		size = min(6, len(escaped))
		n, err := strconv.ParseUint(escaped[2:size], 16, 32)
		if err != nil || n >= 0x80 {
			return size, 0xff
		}
		return size, byte(n)
	case 'n', 'r', 't':
		return 2, ' '
	}
	return 2, escaped[1]
}

// divide is split for a whole text. Without a block in front, words is the text itself.
func divide(escaped string) (thoughts, words string) {
	var t thinking
	a, b := t.split(nil, nil, escaped)
	a, b = t.rest(a, b)
	return string(a), string(b)
}
