package accounting

import (
	"runtime"
	"strings"
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
	// countedBytes is how much text of one estimate is really tokenised, some
	// half second of work. What lies beyond is taken to have the same density.
	countedBytes = 4 << 20
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

// encodingOf returns the encoding of a model by OpenAI's published list: cl100k
// for the GPT-4 and GPT-3.5 families and the embedding models, o200k for
// everything since GPT-4o. Models of other makers have vocabularies of their
// own; o200k, the larger and more multilingual of the two, stands in for them.
func encodingOf(model string) tokenizer.Encoding {
	name := bareModel(model)
	for _, since := range []string{"gpt-4o", "gpt-4.1", "gpt-4.5"} {
		if strings.HasPrefix(name, since) {
			return tokenizer.O200kBase
		}
	}
	for _, old := range []string{
		"gpt-4", "gpt-3.5", "gpt-35", "text-embedding-3", "text-embedding-ada-002",
		"davinci-002", "babbage-002",
	} {
		if strings.HasPrefix(name, old) {
			return tokenizer.Cl100kBase
		}
	}
	return tokenizer.O200kBase
}

// bareModel strips what stands around a model's own name: "provider/" in front
// and the "ft:" of a fine-tuned one.
func bareModel(model string) string {
	name := strings.ToLower(model)
	if slash := strings.LastIndexByte(name, '/'); slash >= 0 {
		name = name[slash+1:]
	}
	return strings.TrimPrefix(name, "ft:")
}

// tokenCounter adds up the tokens of many texts. It is used by one goroutine.
type tokenCounter struct {
	codec   tokenizer.Codec // nil if it could not be made
	tokens  int64
	counted int64 // bytes tokenised
	skipped int64 // bytes beyond countedBytes
}

// total returns the tokens of all texts, those beyond the bound extrapolated.
func (c *tokenCounter) total() int64 {
	return c.tokens + scaleUp(c.tokens, c.skipped, c.counted)
}

// text adds the tokens of s.
func (c *tokenCounter) text(s string) {
	for len(s) > 0 {
		n := len(s)
		if n > pieceBytes {
			n = pieceEnd(s[:pieceBytes])
		}
		c.piece(s[:n])
		s = s[n:]
	}
}

// escaped adds the tokens of a text given as the inside of a JSON string.
func (c *tokenCounter) escaped(b []byte) {
	window := make([]byte, 0, min(len(b), pieceBytes)+utf8.UTFMax)
	for len(b) > 0 {
		for len(b) > 0 && len(window) < pieceBytes {
			window, b = unescapeNext(window, b, pieceBytes)
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
	if s == "" {
		return
	}
	if c.counted >= countedBytes {
		c.skipped += int64(len(s))
		return
	}
	c.counted += int64(len(s))
	runtime.Gosched() // streams are waiting; this is not urgent
	if c.codec != nil {
		if n, err := c.codec.Count(s); err == nil {
			c.tokens += int64(n)
			return
		}
	}
	c.tokens += int64((len(s) + fallbackBytesPerToken - 1) / fallbackBytesPerToken)
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

// scaleUp returns n * part / whole, rounded up; zero when whole is zero.
func scaleUp(n, part, whole int64) int64 {
	if whole <= 0 || part <= 0 || n <= 0 {
		return 0
	}
	return int64(float64(n)*(float64(part)/float64(whole)) + 0.999)
}
