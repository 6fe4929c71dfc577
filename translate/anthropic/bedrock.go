package anthropic

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Sizes in bytes of the buffer for an event: what it begins with, and what is kept of it
// for the next event. A quiet stream shall not hold the memory of its largest event.
const (
	usualChunk   = 1 << 10
	maxIdleChunk = 16 << 10
)

// exceptionPrefix begins the name of a frame that reports a failure.
const exceptionPrefix = "exception "

// unwrap takes the model's own event out of a frame of Bedrock, {"bytes":"<base64>"}.
// The result is a view of d.chunk, or of data where a gateway has unwrapped it already,
// and nil if there is nothing to read.
func (d *decoder) unwrap(to translate.Sink, name, data []byte) ([]byte, translate.Progress) {
	if d.over {
		return nil, translate.More
	}
	if kind, failed := strings.CutPrefix(jsonview.View(name), exceptionPrefix); failed {
		return nil, d.fail(to, wire.AWSException(plainCode(kind), data))
	}
	if d.envelope.Match(data) {
		from, to := d.envelope.Hole(0)
		return d.decode(data[from:to])
	}
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return nil, translate.Malformed
	}
	wrapped := root.Get("bytes")
	switch {
	case wrapped.IsString():
		inside := jsonframe.HoleIn(wrapped)
		if padding := root.Get("p"); padding.IsString() {
			d.envelope.Learn(data, inside, jsonframe.HoleIn(padding))
		} else {
			d.envelope.Learn(data, inside)
		}
		return d.decode(data[inside.From:inside.To])
	case root.Get("type").Exists():
		return data, translate.More
	}
	return nil, translate.More
}

// decode reads base64 into d.chunk.
func (d *decoder) decode(encoded []byte) ([]byte, translate.Progress) {
	if bytes.IndexByte(encoded, '\\') >= 0 { // JSON may escape slashes
		encoded = jsonview.AppendText(nil, jsonview.View(encoded))
	}
	n := base64.StdEncoding.DecodedLen(len(encoded))
	if cap(d.chunk) < n || cap(d.chunk) > maxIdleChunk {
		d.chunk = make([]byte, max(n, usualChunk))
	}
	d.chunk = d.chunk[:cap(d.chunk)]
	n, err := base64.StdEncoding.Decode(d.chunk, encoded)
	if err != nil {
		return nil, translate.Malformed
	}
	return d.chunk[:n:n], translate.More
}
