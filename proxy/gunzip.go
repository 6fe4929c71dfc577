package proxy

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/proxy/upstream"
)

// Bounds of what a compressed answer may unpack to.
const (
	maxGzipRatio = 100
	gzipSlack    = 1 << 20
)

// errGzip reports an answer that cannot be unpacked within bounds.
var errGzip = errors.New("unpacking the answer")

// gunzip decodes a body that is gzipped although identity was asked for. It yields
// what is decodable as soon as it is there, so that a provider that flushes after
// each event streams through. It implements bodyReader.
type gunzip struct {
	source  *upstream.Reader
	rest    []byte // bytes of the last read that are not decoded yet
	packed  int64
	decoded int64
	zip     *gzip.Reader
	buf     [4 << 10]byte
}

func newGunzip(source *upstream.Reader) *gunzip { return &gunzip{source: source} }

// ReadBody implements bodyReader.
func (g *gunzip) ReadBody() ([]byte, error) {
	if g.zip == nil {
		z, err := gzip.NewReader(g)
		if err != nil {
			return nil, g.failure(err)
		}
		g.zip = z
	}
	n, err := g.zip.Read(g.buf[:])
	g.decoded += int64(n)
	if g.decoded > gzipSlack+maxGzipRatio*g.packed {
		return nil, fmt.Errorf("%w: it grows too large", errGzip)
	}
	return g.buf[:n], g.failure(err)
}

// Read gives the decoder the packed bytes.
func (g *gunzip) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		b, err := g.source.ReadBody()
		if errors.Is(err, upstream.ErrInterrupted) {
			continue // a comment has no place between packed bytes
		}
		g.rest = b
		g.packed += int64(len(b))
		if err != nil && len(b) == 0 {
			return 0, err
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// failure tells a fault of the packing from the end or failure of the transport.
func (g *gunzip) failure(err error) error {
	var corrupt flate.CorruptInputError
	var broken flate.InternalError
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.As(err, &corrupt), errors.As(err, &broken):
		return fmt.Errorf("%w: %w", errGzip, err)
	default:
		return err
	}
}
