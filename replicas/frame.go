package replicas

import (
	"encoding/binary"
	"errors"
)

// A frame is what one replica sends to another, in this form:
//
//	version (1 byte), form (1), sender (8), id (8, big endian),
//	of a question: length of the inbox (uvarint), inbox,
//	of a question and a message: length of the kind (uvarint), kind,
//	of an answer: 1 if there is one, 0 if there is nothing to say,
//	the body up to the end
type frame struct {
	form form
	from peer
	// id counts the questions of a sender. An answer has that of its question.
	id    uint64
	inbox string
	kind  string
	said  bool
	body  []byte
}

type form byte

const (
	formQuestion form = 'q'
	formAnswer   form = 'a'
	formMessage  form = 'm'
)

// version is the first byte of every frame. Frames of another one are passed over: then
// the asker, which knows that it reached somebody, takes the answers for incomplete.
const version = 1

const (
	headLength = 2 + len(peer{}) + 8
	// longestName bounds the names in a frame.
	longestName = 255
)

var (
	errVersion = errors.New("another version")
	errFrame   = errors.New("not a frame")
)

// encode returns the frame's bytes.
func (f *frame) encode() []byte {
	out := make([]byte, 0, headLength+len(f.inbox)+len(f.kind)+len(f.body)+4)
	out = append(out, version, byte(f.form))
	out = append(out, f.from[:]...)
	out = binary.BigEndian.AppendUint64(out, f.id)
	switch f.form {
	case formQuestion:
		out = appendName(appendName(out, f.inbox), f.kind)
	case formMessage:
		out = appendName(out, f.kind)
	case formAnswer:
		said := byte(0)
		if f.said {
			said = 1
		}
		out = append(out, said)
	}
	return append(out, f.body...)
}

// decode reads a frame. Its body is part of in.
func decode(in []byte) (*frame, error) {
	if len(in) == 0 {
		return nil, errFrame
	}
	if in[0] != version {
		return nil, errVersion
	}
	if len(in) < headLength {
		return nil, errFrame
	}
	f := &frame{form: form(in[1]), id: binary.BigEndian.Uint64(in[headLength-8:])}
	copy(f.from[:], in[2:])
	rest, ok := in[headLength:], false
	switch f.form {
	case formQuestion:
		if f.inbox, rest, ok = cutName(rest); ok {
			f.kind, rest, ok = cutName(rest)
		}
	case formMessage:
		f.kind, rest, ok = cutName(rest)
	case formAnswer:
		if ok = len(rest) > 0 && rest[0] <= 1; ok {
			f.said, rest = rest[0] == 1, rest[1:]
		}
	}
	if !ok {
		return nil, errFrame
	}
	f.body = rest
	return f, nil
}

func appendName(out []byte, name string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(name))), name...)
}

func cutName(in []byte) (name string, rest []byte, ok bool) {
	length, n := binary.Uvarint(in)
	if n <= 0 || length > longestName || length > uint64(len(in)-n) {
		return "", nil, false
	}
	end := n + int(length)
	return string(in[n:end]), in[end:], true
}
