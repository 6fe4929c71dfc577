package accounting

import (
	"runtime"
	"sync"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/tiktoken-go/tokenizer"
)

const (
	// pieceBytes is how much text is tokenised at a time: the splitter widens
	// its input to four bytes a rune, so this bounds its memory.
	pieceBytes = 16 << 10
	// fallbackBytesPerToken is the density assumed if the tokenizer fails.
	fallbackBytesPerToken = 4
)

// lazyCodec loads its vocabulary (about 7 MiB for o200k, 3.5 MiB for cl100k)
// on first use, which in a process that only sees reported usage is never.
type lazyCodec struct {
	once  sync.Once
	codec tokenizer.Codec
}

func (l *lazyCodec) get(name tokenizer.Encoding) tokenizer.Codec {
	l.once.Do(func() {
		if codec, err := tokenizer.Get(name); err == nil {
			l.codec = codec
		}
	})
	return l.codec
}

// tokenCounter adds up the tokens of many texts. It is used by one goroutine.
type tokenCounter struct {
	codec      tokenizer.Codec // nil if it could not be made
	vocabulary *vocabulary
	sampling   sampling
	tokens     float64
}

// total returns the tokens of all texts, those that were left out by the density of the rest.
func (c *tokenCounter) total() float64 { return c.sampling.scaled(c.tokens) }

// text adds the tokens of s.
func (c *tokenCounter) text(s string) {
	for size := c.sampling.pieceBytes(); len(s) > 0; {
		n := len(s)
		if n > size {
			n = pieceEnd(s[:size])
		}
		c.piece(s[:n])
		s = s[n:]
	}
}

// escaped adds the tokens of a text given as the inside of a JSON string.
func (c *tokenCounter) escaped(b []byte) {
	size := c.sampling.pieceBytes()
	window := make([]byte, 0, min(len(b), size)+utf8.UTFMax)
	for len(b) > 0 {
		for len(b) > 0 && len(window) < size {
			window, b = unescapeNext(window, b, size)
		}
		n := len(window)
		if len(b) > 0 {
			n = pieceEnd(view(window))
		}
		c.piece(view(window[:n]))
		window = window[:copy(window, window[n:])]
	}
	c.piece(view(window))
}

// piece adds the tokens of a text of at most pieceBytes.
func (c *tokenCounter) piece(s string) {
	if s == "" || !c.sampling.take(s) {
		return
	}
	runtime.Gosched() // streams are waiting; this is not urgent
	if c.codec != nil {
		if n, err := c.vocabulary.tokens(c.codec, s); err == nil {
			c.tokens += n
			return
		}
	}
	c.tokens += float64((len(s) + fallbackBytesPerToken - 1) / fallbackBytesPerToken)
}

// pieceEnd returns where to cut s, which more text follows, so that counting
// the parts gives what counting the whole would. Both encodings begin a new
// match at a space that follows anything but white space. A text without such
// a place is cut between two runes, which costs a token or two.
func pieceEnd(s string) int {
	for i := len(s) - 1; i > len(s)/2; i-- {
		if s[i] != ' ' {
			continue
		}
		if before, _ := utf8.DecodeLastRuneInString(s[:i]); !unicode.IsSpace(before) {
			return i
		}
	}
	// A rune that is cut in two shows as its first byte with no end.
	for i := len(s) - 1; i >= 0 && i >= len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) && i > 0 {
				return i
			}
			break
		}
	}
	return len(s)
}

// view lends b as a string for a call that keeps nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
