package downstream

const (
	maxSizeDigits     = 16
	maxExtensionBytes = 16 << 10
	maxTrailerBytes   = 8 << 10
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailerStart
	chunkTrailerName
	chunkTrailerValue
	chunkTrailerLF
	chunkEndLF
)

// chunkFilter follows a chunked body (RFC 9112, 7.1) byte by byte, so that it
// stops exactly behind the message, and keeps of it only what every parser
// understands alike: sizes without a row of leading zeros, and data. Extensions and
// trailer fields are dropped, as a recipient may.
type chunkFilter struct {
	state  chunkState
	digits int
	size   int64 // of the current chunk; counts down in its data
	room   int64 // body bytes that may still come
	spent  int   // bytes of extensions so far
	tail   int   // bytes of trailer so far

	payer *Conn // pays for the memory of the body; nil if nobody has to
	paid  int64 // body bytes that are paid for and not announced yet
}

// filter reads p and moves the bytes to keep to its front. kept counts those,
// used the bytes it has read; done says that the message ended there, and only
// then is used less than len(p).
func (f *chunkFilter) filter(p []byte) (kept, used int, done bool, err *RequestError) {
	for used < len(p) {
		if f.state == chunkData {
			n := int(min(f.size, int64(len(p)-used)))
			if kept != used {
				copy(p[kept:], p[used:used+n])
			}
			kept, used = kept+n, used+n
			if f.size -= int64(n); f.size == 0 {
				f.state = chunkDataCR
			}
			continue
		}
		c := p[used]
		used++
		keep, err := f.step(c)
		if err != nil {
			return kept, used, false, err
		}
		if keep {
			p[kept] = c
			kept++
		}
		if f.state == chunkSize && f.digits < 0 {
			return kept, used, true, nil
		}
	}
	return kept, used, false, nil
}

// step takes one byte of framing. The end of the message leaves the state at
// chunkSize with a negative number of digits.
func (f *chunkFilter) step(c byte) (keep bool, err *RequestError) {
	switch f.state {
	case chunkSize:
		return f.sizeByte(c)
	case chunkExtension:
		return f.extensionByte(c)
	case chunkSizeLF:
		return true, f.endSize(c)
	case chunkDataCR:
		f.state = chunkDataLF
		return true, want(c, '\r', errChunkEnd)
	case chunkDataLF:
		f.state, f.digits, f.size = chunkSize, 0, 0
		return true, want(c, '\n', errChunkEnd)
	case chunkEndLF:
		f.state, f.digits = chunkSize, -1
		return true, want(c, '\n', errTrailer)
	default:
		return f.trailerByte(c)
	}
}

func want(c, expected byte, err *RequestError) *RequestError {
	if c != expected {
		return err
	}
	return nil
}

func (f *chunkFilter) sizeByte(c byte) (keep bool, err *RequestError) {
	if d, ok := hexDigit(c); ok {
		if f.digits++; f.digits > maxSizeDigits || f.size >= 1<<58 {
			return false, errChunkSize
		}
		f.size = f.size<<4 | d
		return f.size != 0 || f.digits == 1, nil
	}
	if f.digits == 0 {
		return false, errChunkSize
	}
	switch c {
	case '\r':
		f.state = chunkSizeLF
		return true, nil
	case ';':
		f.state = chunkExtension
		return false, nil
	default:
		return false, errChunkSize
	}
}

func (f *chunkFilter) extensionByte(c byte) (keep bool, err *RequestError) {
	if c == '\r' {
		f.state = chunkSizeLF
		return true, nil
	}
	if f.spent++; f.spent > maxExtensionBytes || c < ' ' && c != '\t' || c == 0x7f {
		return false, errChunkExtension
	}
	return false, nil
}

func (f *chunkFilter) endSize(c byte) *RequestError {
	if c != '\n' {
		return errChunkSize
	}
	if f.size > f.room {
		return errBodyTooLarge
	}
	f.room -= f.size
	if !f.pay() {
		return errOverloaded
	}
	f.state = chunkData
	if f.size == 0 {
		f.state = chunkTrailerStart
	}
	return nil
}

// pay reserves memory for the chunk whose size has just been read: fasthttp makes
// room for all of it when it sees the size.
func (f *chunkFilter) pay() bool {
	if f.paid -= f.size; f.paid >= 0 || f.payer == nil {
		return true
	}
	step := (-f.paid + memoryStep - 1) / memoryStep * memoryStep
	f.paid += step
	return f.payer.reserve(step)
}

func (f *chunkFilter) trailerByte(c byte) (keep bool, err *RequestError) {
	if f.tail++; f.tail > maxTrailerBytes {
		return false, errTrailer
	}
	switch f.state {
	case chunkTrailerStart:
		if c == '\r' {
			f.state = chunkEndLF
			return true, nil
		}
		f.state = chunkTrailerName
		if !tokenChars[c] {
			return false, errTrailer
		}
	case chunkTrailerName:
		if c == ':' {
			f.state = chunkTrailerValue
		} else if !tokenChars[c] {
			return false, errTrailer
		}
	case chunkTrailerValue:
		if c == '\r' {
			f.state = chunkTrailerLF
		} else if c < ' ' && c != '\t' || c == 0x7f {
			return false, errTrailer
		}
	default: // chunkTrailerLF
		f.state = chunkTrailerStart
		return false, want(c, '\n', errTrailer)
	}
	return false, nil
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int64(c|0x20-'a') + 10, true
	}
	return 0, false
}
