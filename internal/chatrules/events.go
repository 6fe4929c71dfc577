package chatrules

import (
	"bytes"
	"strings"
)

// event is one event of the stream: its data, and the name that it is given.
type event struct{ name, data string }

// maxEvent is the longest event that openai-go reads.
const maxEvent = 32 << 20

// splitEvents takes the framing off. SDKs differ in what they forgive, so only what all
// of them read alike passes: lines that end with LF or CRLF, the fields data and event,
// comments, and a blank line after every event, also the last.
func (f *findings) splitEvents(body []byte) (events []event) {
	var now event
	var lines []string
	for len(body) > 0 {
		line, rest, ended := bytes.Cut(body, []byte("\n"))
		body = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case !ended:
			f.add("framing: the stream ends inside a line: %q", excerpt(string(line), 200))
		case bytes.ContainsRune(line, '\r'):
			f.add("framing: a carriage return inside a line, which ends it for some readers")
		}
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case len(line) == 0 && lines != nil:
			now.data = strings.Join(lines, "\n")
			if len(now.data) > maxEvent {
				f.add("framing: an event of %d bytes", len(now.data))
			}
			events = append(events, now)
			now, lines = event{}, nil
		case len(line) == 0, name == "": // what lies between events, and comments
		case name == "data":
			lines = append(lines, value)
		case name == "event":
			now.name = value
		default:
			f.add("framing: the field %q", excerpt(name, 200))
		}
	}
	if lines != nil {
		f.add("framing: no blank line after the last event, which readers then drop")
	}
	return events
}
