package upstream

const (
	maxChunkDigits    = 16
	maxChunkExtension = 4 << 10
	maxTrailer        = 16 << 10
	maxChunkSize      = 1<<62 - 1
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkSpace
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
	chunkEnd
)

// chunks takes the chunked coding off a body (RFC 9112, section 7.1). It is a state
// machine over bytes, so that a read may end anywhere. Space behind a size is
// accepted, because some servers pad sizes; a bare LF, a size that is no number or a
// malformed trailer is not. Extensions and trailers are checked and dropped.
type chunks struct {
	left   int64 // of the size being read, then of the chunk's data
	state  chunkState
	digits uint8
	line   int // bytes of the extension, or of all trailers
}

// done tells whether the final CRLF has been read.
func (d *chunks) done() bool { return d.state == chunkEnd }

// decode decodes p in place. The content is p[from:to]; pieces of later chunks have
// been moved up against the first. used is how much of p belongs to the body: less
// than all of it only behind the end of the body or at an error, in front of which
// there may be content.
func (d *chunks) decode(p []byte) (from, to, used int, err error) {
	i := 0
	for i < len(p) {
		if d.state != chunkData {
			i, err = d.frame(p, i)
			if err != nil || d.state == chunkEnd {
				return from, to, i, err
			}
			continue
		}
		n := len(p) - i
		if int64(n) > d.left {
			n = int(d.left)
		}
		if to == 0 {
			from, to = i, i+n
		} else {
			to += copy(p[to:], p[i:i+n])
		}
		i += n
		if d.left -= int64(n); d.left == 0 {
			d.state = chunkDataCR
		}
	}
	return from, to, i, nil
}

// frame reads framing from p[i:] up to the next content, the end or the end of p.
func (d *chunks) frame(p []byte, i int) (int, error) {
	for i < len(p) {
		c := p[i]
		switch d.state {
		case chunkDataCR:
			if c != '\r' {
				return i, errChunkEnd
			}
			d.state = chunkDataLF
		case chunkDataLF:
			if c != '\n' {
				return i, errChunkEnd
			}
			d.begin()
		case chunkSize:
			if v := hexValues[c]; v != notHex {
				if d.digits == maxChunkDigits || d.left > maxChunkSize>>4 {
					return i, errChunkSize
				}
				d.digits++
				d.left = d.left<<4 | int64(v)
			} else if err := d.endOfSize(c); err != nil {
				return i, err
			}
		case chunkSizeLF:
			if c != '\n' {
				return i, errChunkSize
			}
			if d.left > 0 {
				d.state = chunkData
				return i + 1, nil
			}
			d.state, d.line = trailerStart, 0
		case chunkSpace:
			if err := d.endOfSize(c); err != nil {
				return i, err
			}
		case chunkExtension:
			if err := d.extension(c); err != nil {
				return i, err
			}
		default:
			if err := d.trailer(c); err != nil {
				return i, err
			}
			if d.state == chunkEnd {
				return i + 1, nil
			}
		}
		i++
	}
	return i, nil
}

func (d *chunks) begin() { d.state, d.digits, d.left, d.line = chunkSize, 0, 0, 0 }

// endOfSize takes the byte behind the digits, or behind the space after them.
func (d *chunks) endOfSize(c byte) error {
	if d.digits == 0 {
		return errChunkSize
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
	case ';':
		d.state = chunkExtension
	case ' ', '\t':
		d.state = chunkSpace
		if d.line++; d.line > maxChunkExtension {
			return errChunkExtension
		}
	default:
		return errChunkSize
	}
	return nil
}

func (d *chunks) extension(c byte) error {
	if c == '\r' {
		d.state = chunkSizeLF
		return nil
	}
	if d.line++; d.line > maxChunkExtension || isControl(c) {
		return errChunkExtension
	}
	return nil
}

// trailer takes a byte behind the last chunk.
func (d *chunks) trailer(c byte) error {
	if d.line++; d.line > maxTrailer {
		return errTrailer
	}
	switch d.state {
	case trailerStart:
		switch {
		case c == '\r':
			d.state = trailerEndLF
		case tokenBytes[c]:
			d.state = trailerName
		default:
			return errTrailer
		}
	case trailerName:
		if c == ':' {
			d.state = trailerValue
		} else if !tokenBytes[c] {
			return errTrailer
		}
	case trailerValue:
		if c == '\r' {
			d.state = trailerLF
		} else if isControl(c) {
			return errTrailer
		}
	case trailerLF, trailerEndLF:
		if c != '\n' {
			return errTrailer
		}
		if d.state == trailerLF {
			d.state = trailerStart
		} else {
			d.state = chunkEnd
		}
	}
	return nil
}

var (
	errChunkSize      error = badResponse("the size of a chunk is malformed")
	errChunkEnd       error = badResponse("a chunk is longer than its size")
	errChunkExtension error = badResponse("the extension of a chunk is malformed or too long")
	errTrailer        error = badResponse("the trailer is malformed or too long")
)

const notHex = 0xff

var hexValues = func() (t [256]uint8) {
	for i := range t {
		t[i] = notHex
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = uint8(10+i), uint8(10+i)
	}
	return t
}()
