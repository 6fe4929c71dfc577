package recordings

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
)

var (
	blockEnds = regexp.MustCompile(`\r\n\r\n|\n\n|\r\r`)
	lineEnds  = strings.NewReplacer("\r\n", "\n", "\r", "\n")
)

// Blocks cuts an event stream behind its blank lines, which stay with the blocks. What
// stands behind the last blank line is a block if it is whole, as some providers leave
// the last blank line out, and what remains of a cut one is nothing.
func Blocks(stream string) (blocks []string) {
	for len(stream) > 0 {
		end := blockEnds.FindStringIndex(stream)
		if end == nil {
			if d := Data(stream); d == "[DONE]" || json.Valid([]byte(d)) {
				blocks = append(blocks, stream)
			}
			break
		}
		blocks = append(blocks, stream[:end[1]])
		stream = stream[end[1]:]
	}
	return blocks
}

// Data joins the data lines of a block, empty if it has none.
func Data(block string) string {
	var lines []string
	for line := range strings.SplitSeq(lineEnds.Replace(block), "\n") {
		if d, ok := strings.CutPrefix(line, "data:"); ok {
			lines = append(lines, strings.TrimPrefix(d, " "))
		}
	}
	return strings.Join(lines, "\n")
}

// Names reports whether a block says that its event has this name.
func Names(block, name string) bool {
	for line := range strings.SplitSeq(lineEnds.Replace(block), "\n") {
		if n, ok := strings.CutPrefix(line, "event:"); ok && strings.TrimPrefix(n, " ") == name {
			return true
		}
	}
	return false
}

// events are the data of an event stream up to [DONE], and whether that is there.
func events(stream []byte) (data []string, done bool) {
	for _, block := range Blocks(string(stream)) {
		switch d := Data(block); d {
		case "":
		case "[DONE]":
			return data, true
		default:
			data = append(data, d)
		}
	}
	return data, false
}

// each decodes every event into a new T and hands it on, until that says to stop.
func each[T any](events []string, take func(T) (more bool)) error {
	for _, data := range events {
		var v T
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("decoding %.200q: %w", data, err)
		}
		if !take(v) {
			break
		}
	}
	return nil
}

// lines are the lines of a body that are JSON, up to one that was cut.
func lines(body []byte) (all []string) {
	for line := range strings.FieldsFuncSeq(string(body), func(c rune) bool { return c == '\n' || c == '\r' }) {
		all = append(all, line)
	}
	if n := len(all); n > 0 && !json.Valid([]byte(all[n-1])) {
		all = all[:n-1]
	}
	return all
}

// elements are those of a JSON array, up to one that was cut.
func elements(body []byte) (all []string) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil
	}
	for d.More() {
		var e json.RawMessage
		if d.Decode(&e) != nil {
			break
		}
		all = append(all, string(e))
	}
	return all
}

// frame is one message of an AWS event stream.
type frame struct {
	headers map[string]string // those that are strings
	payload []byte
}

var errFrame = errors.New("a broken frame")

// frames takes an AWS event stream apart: lengths, checksum of them, headers, payload,
// checksum of all. What remains of a cut one is nothing.
func frames(stream []byte) (all []frame, err error) {
	for len(stream) >= 16 {
		total, headers := binary.BigEndian.Uint32(stream), binary.BigEndian.Uint32(stream[4:])
		if uint64(total) > uint64(len(stream)) {
			break
		}
		if uint64(headers)+16 > uint64(total) {
			return all, errFrame
		}
		message := stream[:total]
		stream = stream[total:]
		if crc32.ChecksumIEEE(message[:8]) != binary.BigEndian.Uint32(message[8:]) ||
			crc32.ChecksumIEEE(message[:total-4]) != binary.BigEndian.Uint32(message[total-4:]) {
			return all, errFrame
		}
		f := frame{headers: map[string]string{}, payload: message[12+headers : total-4]}
		if err := f.readHeaders(message[12 : 12+headers]); err != nil {
			return all, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (f *frame) readHeaders(b []byte) error {
	for len(b) > 0 {
		name := int(b[0])
		if len(b) < name+4 || b[name+1] != 7 {
			return errFrame // only strings are in use
		}
		value := int(binary.BigEndian.Uint16(b[name+2:]))
		if len(b) < name+4+value {
			return errFrame
		}
		f.headers[string(b[1:name+1])] = string(b[name+4 : name+4+value])
		b = b[name+4+value:]
	}
	return nil
}
