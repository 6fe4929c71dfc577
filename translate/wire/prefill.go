package wire

import (
	"strings"

	"github.com/sluicehq/sluice/translate"
)

// LastWritten is the index of the last part of a message in which there is anything, -1
// for none.
func LastWritten(m *translate.Message) int {
	for i := len(m.Parts) - 1; i >= 0; i-- {
		if !Empty(&m.Parts[i]) {
			return i
		}
	}
	return -1
}

// Empty tells whether there is nothing to read in a part.
func Empty(p *translate.Part) bool {
	return (p.Kind == translate.PartText || p.Kind == translate.PartRefusal) && Blank(p.Text)
}

// Prefill is the assistant's text that a conversation ends with, nil for none. The model
// continues it instead of answering.
func Prefill(chat *translate.Chat) *translate.Message {
	for i := len(chat.Messages) - 1; i >= 0; i-- {
		m := &chat.Messages[i]
		switch {
		case m.Role == translate.RoleSystem: // which stands elsewhere
		case m.Role == translate.RoleTool || len(m.Calls) > 0:
			return nil
		case LastWritten(m) < 0: // nothing of it is written
		case m.Role == translate.RoleAssistant:
			return m
		default:
			return nil
		}
	}
	return nil
}

// Trimmed is m without white space at its end: Claude is not given such a text to continue.
func Trimmed(m *translate.Message) *translate.Message {
	last := LastWritten(m)
	if last < 0 {
		return m
	}
	text := m.Parts[last].Text.Text()
	short := strings.TrimRight(text, " \t\r\n")
	if len(short) == len(text) {
		return m
	}
	one := *m
	one.Parts = append([]translate.Part(nil), m.Parts[:last+1]...)
	one.Parts[last].Text = quoted(short)
	return &one
}
