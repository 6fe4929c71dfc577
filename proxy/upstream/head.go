package upstream

import "strings"

const (
	maxHeadSize   = 64 << 10
	maxHeadFields = 256
	// maxInterim is the number of 1xx responses that may precede an answer.
	maxInterim = 5
)

// Field is one header field as the upstream wrote it, without the space around its
// value.
type Field struct{ Name, Value string }

// Head is the head of a response. It holds copies and refers to no buffer. A Head may
// be used again for the next response, which overwrites its Fields.
type Head struct {
	Status int
	Fields []Field
	// ContentType is the first Content-Type, ContentEncoding all codings in order.
	ContentType, ContentEncoding string
	// ContentLength is the declared size of the body, -1 when it is not known. For an
	// answer to HEAD, and for 304, it is the size that the body would have had.
	ContentLength int64
	// Chunked says that the body comes in chunks.
	Chunked bool
	// Close says that the connection must not carry another exchange.
	Close bool
}

// Get returns the value of the first field called name, in whatever case, or "".
func (h *Head) Get(name string) string {
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			return h.Fields[i].Value
		}
	}
	return ""
}

// headScan finds the end of a head while its bytes arrive, and refuses as early as
// possible what cannot become one. It allocates nothing.
type headScan struct {
	at   int // bytes scanned
	line int // start of the line being scanned
}

const statusLineStart = "HTTP/1."

// next scans b, which begins with the head and has grown since the last call. It
// returns the size of the head with its empty line, or 0 while that is not there.
func (s *headScan) next(b []byte) (int, error) {
	if s.at < len(statusLineStart) {
		n := min(len(b), len(statusLineStart))
		if string(b[:n]) != statusLineStart[:n] {
			return 0, badResponse("this is not HTTP")
		}
	}
	for i := s.at; i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		if i == 0 || b[i-1] != '\r' {
			return 0, badResponse("a line of the head ends without CR")
		}
		if i-1 == s.line {
			if i+1 > maxHeadSize {
				return 0, badResponse("the head is too large")
			}
			return i + 1, nil
		}
		s.line = i + 1
	}
	s.at = len(b)
	if s.at >= maxHeadSize {
		return 0, badResponse("the head is too large")
	}
	return 0, nil
}

// parse reads a complete head, as headScan delimits it (RFC 9112, sections 4 and 5).
// What is lenient there, bare LF, folded lines, space before a colon, is refused: two
// readers of such a head need not agree on what it says.
func (h *Head) parse(head string) error {
	*h = Head{Fields: h.Fields[:0], ContentLength: -1}
	line, rest, _ := strings.Cut(head, "\r\n")
	minor, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	f := framing{oldVersion: minor == '0', length: -1}
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			break
		}
		if len(h.Fields) == maxHeadFields {
			return badResponse("the head has too many fields")
		}
		field, err := parseField(line)
		if err != nil {
			return err
		}
		h.Fields = append(h.Fields, field)
		if err := h.note(&f, field); err != nil {
			return err
		}
	}
	f.apply(h)
	return nil
}

// parseStatus reads "HTTP/1.x 200 reason" and returns the minor version.
func (h *Head) parseStatus(line string) (minor byte, err error) {
	const digits = len("HTTP/1.x ")
	if len(line) < digits+3 || line[:len(statusLineStart)] != statusLineStart || line[digits-1] != ' ' {
		return 0, badResponse("the status line is malformed")
	}
	minor = line[digits-2]
	if minor != '0' && minor != '1' {
		return 0, badResponse("the HTTP version is not supported")
	}
	for _, d := range []byte(line[digits : digits+3]) {
		if d < '0' || d > '9' {
			return 0, badResponse("the status is not a number")
		}
		h.Status = h.Status*10 + int(d-'0')
	}
	if h.Status < 100 || h.Status > 599 {
		return 0, badResponse("the status is out of range")
	}
	reason := line[digits+3:]
	if reason != "" && reason[0] != ' ' || !validValue(reason) {
		return 0, badResponse("the status line is malformed")
	}
	return minor, nil
}

func parseField(line string) (Field, error) {
	name, value, found := strings.Cut(line, ":")
	if !found || !isToken(name) {
		return Field{}, badResponse("the name of a field is malformed")
	}
	if !validValue(value) {
		return Field{}, badResponse("the value of a field holds a control character")
	}
	return Field{Name: name, Value: strings.Trim(value, " \t")}, nil
}

// note takes down what a field says about content and framing.
func (h *Head) note(f *framing, field Field) error {
	switch {
	case strings.EqualFold(field.Name, "Content-Type"):
		if h.ContentType == "" {
			h.ContentType = field.Value
		}
	case strings.EqualFold(field.Name, "Content-Encoding"):
		if h.ContentEncoding != "" && field.Value != "" {
			h.ContentEncoding += ", "
		}
		h.ContentEncoding += field.Value
	case strings.EqualFold(field.Name, "Content-Length"):
		return f.noteLength(field.Value)
	case strings.EqualFold(field.Name, "Transfer-Encoding"):
		return f.noteCoding(field.Value)
	case strings.EqualFold(field.Name, "Connection"):
		f.noteConnection(field.Value)
	}
	return nil
}

// tokenBytes are those of a token (RFC 9110, section 5.6.2).
var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// validValue tells whether s has no control characters other than tabs.
func validValue(s string) bool {
	for i := range len(s) {
		if isControl(s[i]) {
			return false
		}
	}
	return true
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }
