package downstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// spellings are the ways to write one element of a request. The first ones are good,
// the others are what parsers disagree on.
type spellings struct{ good, bad []string }

// pick chooses a bad one now and then.
func (s spellings) pick(dice *rand.Rand, badness int) string {
	if len(s.bad) > 0 && dice.IntN(100) < badness {
		return s.bad[dice.IntN(len(s.bad))]
	}
	return s.good[dice.IntN(len(s.good))]
}

// around are the separators between a name and its value.
var around = spellings{
	good: []string{": ", ":", ":  ", ":\t", ": \t "},
	bad:  []string{" : ", "\t:", ":\v", ":\x0c", ":\r\n ", ":\r\n\t", ": \r\n\t", ":\x00", "", " ", "=", "::", ":\n ", ":\r", ": \xa0", ":\xc2\xa0"},
}

var lineEnds = spellings{
	good: []string{"\r\n", " \r\n", "\t\r\n"},
	bad:  []string{"\n", "\r", "\r\r\n", "\n\r", "\r\n\r", "\x00\r\n", "\v\r\n", "\r\n ", "\n\n", "", "\x85"},
}

var names = map[string]spellings{
	"length": {
		[]string{"Content-Length", "content-length", "CONTENT-LENGTH", "cOnTeNt-lEnGtH"},
		[]string{"Content_Length", "Content-Length ", " Content-Length", "Content-Length\x00", "Content-Length\t", "Content Length", "Content-Len\rgth", "X\nContent-Length", "\"Content-Length\"", "Content-\xc4\xbfength", "\x0bContent-Length"},
	},
	"coding": {
		[]string{"Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING", "tRANSFER-eNCODING"},
		[]string{"Transfer_Encoding", "Transfer-Encoding ", " Transfer-Encoding", "Transfer-Encoding\x00", "Transfer Encoding", "X\rTransfer-Encoding", "X\nTransfer-Encoding", "Transfer-\xc5\xbfncoding", "\tTransfer-Encoding", "Transfer-Encoding\x7f"},
	},
	"host":       {[]string{"Host", "host", "HOST"}, []string{"Host ", " Host", "Ho st", "Host\x00"}},
	"connection": {[]string{"Connection", "connection"}, []string{"Connection ", "Connect\x00ion"}},
	"expect":     {[]string{"Expect", "expect"}, []string{"Expect ", "Expec\xc5\xa5"}},
	"other":      {[]string{"Accept", "X-A", "a", "TE", "Cookie", "Upgrade"}, []string{"", "A B", "A(b)", "{", "\xff"}},
}

var values = map[string]spellings{
	"coding": {
		[]string{"chunked", "Chunked", "CHUNKED"},
		[]string{"identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,", ",chunked", "xchunked", "chunke", "\"chunked\"", "chunked;q=1", "", "chunked\x00", "\vchunked", "chu nked", "chunked\r", "identity, chunked", "\xc2\x85chunked", "chun\u212Aed", "chunked\tx"},
	},
	"host":       {[]string{"h", "H:80", "[::1]:1", "localhost"}, []string{"", "a b", "h/x", "a@h", "h,i", "h\x00", "\xff", "h#", "h?"}},
	"connection": {[]string{"keep-alive", "close", "Close, x", "x, CLOSE", "closed", ""}, []string{"cl\x00ose", "clo\rse", "Content-Length", "Transfer-Encoding"}},
	"expect":     {[]string{"100-continue", "100-Continue"}, []string{"", "100", "100-continue, x", "x", "100-continue;"}},
	"other":      {[]string{"b", "", "b c", "a: b", "\xc3\xa4", "trailers", "chunked", "5"}, []string{"b\x00", "b\rc", "b\nc", "\x7f", "\x1b[2J"}},
}

var startLines = spellings{
	good: []string{"POST /x HTTP/1.1", "GET /x HTTP/1.1", "PUT /x?a=b HTTP/1.1", "POST http://localhost/x HTTP/1.1", "POST /x HTTP/1.0", "DELETE /x HTTP/1.1", "OPTIONS * HTTP/1.1", "HEAD /x HTTP/1.1"},
	bad: []string{
		"POST /x HTTP/1.2", "POST /x HTTP/2.0", "POST /x", "POST  /x HTTP/1.1", "POST /x  HTTP/1.1", "POST /x HTTP/1.1 ", " POST /x HTTP/1.1", "POST\t/x\tHTTP/1.1", "POST /x y HTTP/1.1", "POST x HTTP/1.1", "POST /x#y HTTP/1.1", "post /x HTTP/1.1", "CONNECT h:1 HTTP/1.1", "TRACE /x HTTP/1.1", "PRI * HTTP/2.0", "POST * HTTP/1.1", "POST http://evil.example/x HTTP/1.1",
		"POST http://a@localhost/x HTTP/1.1", "POST /x HTTP/1.1\r\n GET /y HTTP/1.1", "\r\nPOST /x HTTP/1.1", "\r\n\r\nPOST /x HTTP/1.1", "\nPOST /x HTTP/1.1", "POST /\x00 HTTP/1.1", "POST /x\rHTTP/1.1", "POST /x HTTP/01.1", "POST /x HTTP/1.1\x00", "", "X",
	},
}

var chunkLines = spellings{
	good: []string{"%x", "%X", "0%x", "000000%x", "%x;a", "%x;a=b;c=\"d\"", "%x;"},
	bad:  []string{"%x ", " %x", "%x\t", "0x%x", "+%x", "-%x", "%xg", "%x\x00", "%x;\x00", "%x;a\rb", "%x;a\nb", "", ";a", "f%x", "1%x", "%x,", "0000000000000000%x", "ffffffffffffffff%x", "10000000000000000%x", "%x\r", "%x.0", "\u0665%x", "_%x"},
}

var chunkEnds = spellings{good: []string{"\r\n"}, bad: []string{"\n", "\r", "\r\r\n", "\n\r", "", "x\r\n", "\r\n\r\n"}}

var tails = spellings{
	good: []string{"\r\n", "A: b\r\n\r\n", "A:\r\nContent-Length: 9\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"},
	bad:  []string{"\n", "\r", "A: b\n\r\n", "A b\r\n\r\n", "A : b\r\n\r\n", " A: b\r\n\r\n", ": b\r\n\r\n", "A: b\x00\r\n\r\n", "A: b\r\n c\r\n\r\n", "\r\r\n", "", "GET /x HTTP/1.1\r\n\r\n"},
}

// payload is one made-up request, good or bad.
func payload(dice *rand.Rand) string {
	badness := []int{0, 2, 5, 15}[dice.IntN(4)]
	body, chunked := payloadBody(dice, badness)
	var fields []string
	add := func(kind, value string) {
		fields = append(fields, names[kind].pick(dice, badness)+around.pick(dice, badness)+value+lineEnds.pick(dice, badness))
	}
	length := func() string {
		n := len(body)
		switch {
		case dice.IntN(100) >= badness:
			return fmt.Sprint(n)
		case dice.IntN(3) == 0:
			return fmt.Sprint(max(0, n+[]int{-1, 1, -n, len(smuggled)}[dice.IntN(4)]))
		default:
			return fmt.Sprintf([]string{"0%d", "+%d", "-%d", "%d, %[1]d", "%d,", "0x%x", "%d\x00", "%d;", "\v%d", "%d %[1]d", "%d.0", "18446744073709551616%d", "\"%d\"", "%d\r", "1_%d"}[dice.IntN(15)], n)
		}
	}
	coding := func() string { return values["coding"].pick(dice, badness) }
	switch dice.IntN(100) {
	case 0: // both, in one order or the other
		add("length", length())
		add("coding", coding())
	case 1:
		add("coding", coding())
		add("coding", coding())
	case 2:
		add("length", length())
		add("length", length())
	case 3: // neither, though there may be a body
	default:
		if chunked {
			add("coding", coding())
		} else {
			add("length", length())
		}
	}
	if dice.IntN(100) >= badness {
		add("host", values["host"].pick(dice, badness))
	}
	for _, kind := range []string{"host", "connection", "expect", "other", "other"} {
		if often := 15; dice.IntN(100) < often && (kind != "host" || dice.IntN(10) == 0) {
			add(kind, values[kind].pick(dice, badness))
		}
	}
	dice.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	first := startLines.pick(dice, badness) + spellings{[]string{"\r\n"}, lineEnds.bad}.pick(dice, badness)
	end := spellings{[]string{"\r\n"}, chunkEnds.bad}.pick(dice, badness)
	return first + strings.Join(fields, "") + end + body
}

// payloadBody is the body of a made-up request as it stands on the wire.
func payloadBody(dice *rand.Rand, badness int) (body string, chunked bool) {
	content := []string{"", "a", "hello", smuggled, "\r\n0\r\n\r\n", "0\r\n\r\n" + smuggled, strings.Repeat("x", 300)}
	text := content[dice.IntN(len(content))]
	if dice.IntN(2) == 0 {
		return text, false
	}
	var b strings.Builder
	for len(text) > 0 {
		n := 1 + dice.IntN(len(text))
		line := chunkLines.pick(dice, badness)
		if strings.Contains(line, "%") {
			line = fmt.Sprintf(line, n)
		}
		b.WriteString(line + chunkEnds.pick(dice, badness) + text[:n] + chunkEnds.pick(dice, badness))
		text = text[n:]
	}
	last := spellings{[]string{"0", "000", "0;a"}, []string{"", "-0", "0 ", "00000000000000000", "0x0"}}
	b.WriteString(last.pick(dice, badness) + chunkEnds.pick(dice, badness) + tails.pick(dice, badness))
	return b.String(), true
}

const smallBody = 1000

// playground is a server on a unix socket, for tests that send it many connections.
type playground struct {
	path string
	w    witness
}

func newPlayground(t testing.TB) *playground {
	t.Helper()
	p := &playground{path: filepath.Join(t.TempDir(), "s")}
	ln, err := Listen("unix:" + p.path)
	require.NoError(t, err)
	newRigOn(t, ln, withHandler(p.w.handle), withConfig(func(cfg *Config) { cfg.MaxBodyBytes = smallBody }))
	return p
}

var statusLines = regexp.MustCompile(`(?m)^HTTP/1\.1 (\d\d\d) `)

// play sends raw in the given pieces and ends the sending side. It returns what was
// executed, and the statuses that were answered without the interim ones.
func (p *playground) play(t testing.TB, pieces ...string) (executed []served, statuses []string) {
	t.Helper()
	conn, err := net.Dial("unix", p.path)
	require.NoError(t, err)
	c := newClient(t, conn)
	defer func() { _ = conn.Close() }()
	for _, piece := range pieces {
		if _, err := io.WriteString(c, piece); err != nil {
			break // refused while it is sent
		}
	}
	_ = conn.(*net.UnixConn).CloseWrite()
	out, err := io.ReadAll(c.in)
	require.NoError(t, err)
	for _, m := range statusLines.FindAllSubmatch(out, -1) {
		if string(m[1]) != "100" {
			statuses = append(statuses, string(m[1]))
		}
	}
	return p.w.take(), statuses
}

// judge compares what the server did with the reference, and with net/http where that
// reads the request too.
func judge(t testing.TB, raw string, executed []served, statuses []string) {
	t.Helper()
	want := reference(raw, smallBody)
	require.Equal(t, want.served, executed, "%q", raw)
	answers := len(executed)
	if want.status != 0 {
		answers++
	}
	require.Len(t, statuses, answers, "%q", raw)
	for i, status := range statuses {
		if i < len(executed) {
			require.Equal(t, "200", status)
		} else {
			require.Equal(t, "4", status[:1], "%q", raw)
		}
	}
	at := 0
	for i, r := range executed {
		body, used, ok := throughNetHTTP(raw[at:])
		if ok {
			require.Equal(t, r.body, body, "%q", raw)
			require.Equal(t, want.ends[i]-at, used, "%q", raw)
		}
		at = want.ends[i]
	}
}

// throughNetHTTP reads the first request in raw as net/http does.
func throughNetHTTP(raw string) (body string, used int, ok bool) {
	in := strings.NewReader(raw)
	buffered := bufio.NewReader(in)
	req, err := http.ReadRequest(buffered)
	if err != nil {
		return "", 0, false
	}
	content, err := io.ReadAll(req.Body)
	if err != nil {
		return "", 0, false
	}
	return string(content), len(raw) - in.Len() - buffered.Buffered(), true
}

// split cuts raw at the places that the numbers say.
func split(raw string, places ...int) (pieces []string) {
	for _, place := range places {
		at := place % (len(raw) + 1)
		pieces = append(pieces, raw[:at])
		raw = raw[at:]
	}
	return append(pieces, raw)
}

// Each made-up request is followed by another, which is executed if and only if the
// strict reading of the RFC puts it behind a complete one.
//
// rows C7, C8, C9, C10, C11, C12
func TestMadeUpRequestsAreReadAsTheRFCSays(t *testing.T) {
	count := 6000
	if testing.Short() {
		count = 600
	}
	p := newPlayground(t)
	dice := rand.New(rand.NewPCG(9112, 9110))
	accepted, refused := 0, 0
	for range count {
		raw := payload(dice) + smuggled
		pieces := []string{raw}
		if dice.IntN(2) == 0 {
			pieces = split(raw, dice.IntN(1<<20), dice.IntN(1<<20))
		}
		executed, statuses := p.play(t, pieces...)
		judge(t, raw, executed, statuses)
		if len(executed) > 0 && executed[0].target != "/smuggled" {
			accepted++
		} else {
			refused++
		}
	}
	t.Logf("%d were executed, %d refused or cut off", accepted, refused)
	require.Greater(t, accepted, count/5)
	require.Greater(t, refused, count/5)
}

// FuzzSession gives a connection any bytes in any pieces.
//
// rows C7, C8, C9, C10, C11, C12
func FuzzSession(f *testing.F) {
	dice := rand.New(rand.NewPCG(1, 1))
	for range 40 {
		f.Add([]byte(payload(dice)+smuggled), uint16(dice.Uint32()), uint16(dice.Uint32()))
	}
	f.Add([]byte(get("/a")+post("/b", "hello", "Content-Length: 5")+get("/c")), uint16(1), uint16(40))
	f.Add([]byte("\r\n"+chunkedHead+"5\r\nhello\r\n0\r\n\r\n"+smuggled), uint16(3), uint16(60))
	p := newPlayground(f)
	f.Fuzz(func(t *testing.T, raw []byte, first, second uint16) {
		if len(raw) > smallInbox || bytes.Count(raw, []byte("\n")) > maxFields {
			return // the limits are not of the grammar
		}
		if bytes.Contains(raw, []byte("/panic")) {
			return
		}
		executed, statuses := p.play(t, split(string(raw), int(first), int(second))...)
		judge(t, string(raw), executed, statuses)
	})
}
