package downstream

import (
	"net"
	"regexp"
	"strconv"
	"strings"
)

// verdict is what the reference says of the bytes of a connection.
type verdict struct {
	// served are the requests that may be executed, in order.
	served []served
	// ends are where each of them ends in the bytes.
	ends []int
	// status is the answer to what follows them: 0 if nothing does, the last one ends
	// the connection, or what follows is cut off.
	status int
}

// The grammar of RFC 9112 without what section 2.2, 5.2 and 6.1 let a server tolerate.
var (
	refLine = regexp.MustCompile(`^([!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])$`)
	// The value is greedy up to its trailing white space.
	refField = regexp.MustCompile(`^([!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$`)
	refHost  = regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\]|[-._~!$&'()*+,;=0-9A-Za-z]+)(?::[0-9]*)?$`)
	refChunk = regexp.MustCompile(`^([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?$`)
	refTail  = regexp.MustCompile(`^[!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$`)
	refClose = regexp.MustCompile(`(?i)(?:^|,)[ \t]*close[ \t]*(?:,|$)`)
)

func refIsHost(authority string) bool {
	m := refHost.FindStringSubmatch(authority)
	return m != nil && (m[1] == "" || net.ParseIP(m[1]) != nil && strings.Contains(m[1], ":"))
}

// latin makes a string in which each byte is one character, as the expressions read
// it.
func latin(b string) string {
	runes := make([]rune, len(b))
	for i := range len(b) {
		runes[i] = rune(b[i])
	}
	return string(runes)
}

// reference reads a connection to a server that is called localhost the strict way.
// It is written from the RFC and shares nothing with what it judges.
func reference(raw string, maxBody int) (v verdict) {
	for at := 0; at < len(raw); {
		r, next, status := referenceRequest(raw[at:], maxBody)
		if status != 0 || next == 0 {
			v.status = status
			return v
		}
		at += next
		v.served = append(v.served, served{target: r.target, body: r.body})
		v.ends = append(v.ends, at)
		if r.last {
			return v
		}
	}
	return v
}

type referenceOf struct {
	target, body string
	last         bool
}

// referenceRequest reads one request and says where it ends; 0 and no status means
// that it is cut off.
func referenceRequest(raw string, maxBody int) (r referenceOf, next, status int) {
	rest := strings.TrimPrefix(raw, "\r\n")
	head, body, whole := strings.Cut(rest, "\r\n\r\n")
	if !whole {
		head = rest
	}
	// A bare LF is seen before the end is.
	if bad := strings.Index(strings.ReplaceAll(head, "\r\n", "\x01\x01"), "\n"); bad >= 0 || strings.HasPrefix(rest, "\n") {
		return r, 0, 400
	}
	if strings.HasPrefix(rest, "\r\n") {
		return r, 0, 400
	}
	if !whole {
		return r, 0, 0
	}
	h, status := referenceHead(strings.Split(head, "\r\n"))
	if status == 0 && h.length > maxBody {
		status = 413
	}
	if status != 0 {
		return r, 0, status
	}
	r.target, r.last = h.target, h.last
	start := len(raw) - len(body)
	if h.chunked {
		var used int
		r.body, used, status = referenceChunks(body, maxBody)
		if status != 0 || used == 0 {
			return r, 0, status
		}
		return r, start + used, 0
	}
	if len(body) < h.length {
		return r, 0, 0
	}
	r.body = body[:h.length]
	return r, start + h.length, 0
}

type referenceFields struct {
	target  string
	last    bool
	chunked bool
	length  int
}

func referenceHead(lines []string) (h referenceFields, status int) {
	m := refLine.FindStringSubmatch(latin(lines[0]))
	if m == nil {
		return h, 400
	}
	method, target, old := m[1], m[2], m[3] == "0"
	values := map[string][]string{}
	for _, line := range lines[1:] {
		f := refField.FindStringSubmatch(latin(line))
		if f == nil {
			return h, 400
		}
		name := strings.ToLower(f[1])
		values[name] = append(values[name], f[2])
	}
	lengths, codings, hosts, expects := values["content-length"], values["transfer-encoding"], values["host"], values["expect"]
	authority := ""
	switch {
	case !strings.Contains(" GET HEAD POST PUT PATCH DELETE OPTIONS ", " "+method+" "):
		return h, 405
	case strings.HasPrefix(target, "/"), target == "*" && method == "OPTIONS":
	default:
		scheme, rest, ok := strings.Cut(target, "://")
		authority = regexp.MustCompile(`^[^/?]*`).FindString(rest)
		if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" || !refIsHost(authority) {
			return h, 400
		}
	}
	if len(codings) > 0 && (old || len(lengths) > 0 || len(codings) > 1 || !asciiFold(codings[0], "chunked")) {
		return h, 400
	}
	if len(lengths) > 0 {
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if len(lengths) > 1 || err != nil || strings.ContainsAny(lengths[0], "+_") {
			return h, 400
		}
		h.length = int(n)
	}
	if len(hosts) > 1 || len(hosts) == 0 && !old || len(hosts) == 1 && !refIsHost(hosts[0]) {
		return h, 400
	}
	for _, e := range expects {
		if !asciiFold(e, "100-continue") {
			return h, 417
		}
	}
	if len(expects) > 1 {
		return h, 417
	}
	if authority != "" {
		name, _, _ := strings.Cut(authority, ":")
		if len(hosts) == 1 && !strings.EqualFold(hosts[0], authority) || !asciiFold(name, "localhost") {
			return h, 421
		}
	}
	h.target, h.chunked, h.last = target, len(codings) == 1, old
	for _, c := range values["connection"] {
		h.last = h.last || refClose.MatchString(c)
	}
	return h, 0
}

func asciiFold(s, lower string) bool { return len(s) == len(lower) && strings.EqualFold(s, lower) }

// referenceChunks returns the content of a chunked body and what it took of raw; 0
// means that the body is cut off.
func referenceChunks(raw string, maxBody int) (content string, used, status int) {
	var b strings.Builder
	line := func() (string, bool) {
		l, _, ok := strings.Cut(raw[used:], "\r\n")
		if ok {
			used += len(l) + 2
		}
		return l, ok
	}
	for {
		l, ok := line()
		m := refChunk.FindStringSubmatch(latin(l))
		switch {
		case !ok && cutOff(l, refChunk, "0") && !refOverflows(l):
			return "", 0, 0
		case !ok || m == nil:
			return "", 0, 400
		}
		n, err := strconv.ParseUint(m[1], 16, 62)
		switch {
		case err != nil:
			return "", 0, 400
		case n == 0:
			used, status = referenceTrailers(raw, used)
			return b.String(), used, status
		case n > uint64(maxBody-b.Len()):
			return "", 0, 413
		}
		data := raw[used:]
		if len(data) > int(n) && data[n] != '\r' || len(data) > int(n)+1 && data[n+1] != '\n' {
			return "", 0, 400
		}
		if len(data) < int(n)+2 {
			return "", 0, 0
		}
		b.WriteString(data[:n])
		used += int(n) + 2
	}
}

// refOverflows tells whether the beginning of a size is too large already, whatever follows.
func refOverflows(l string) bool {
	digits := l[:len(l)-len(strings.TrimLeft(l, "0123456789ABCDEFabcdef"))]
	_, err := strconv.ParseUint(digits, 16, 62)
	return digits != "" && err != nil
}

func referenceTrailers(raw string, at int) (used, status int) {
	for {
		l, _, ok := strings.Cut(raw[at:], "\r\n")
		switch {
		case !ok && (l == "\r" || cutOff(l, refTail, ":")):
			return 0, 0
		case !ok || l != "" && !refTail.MatchString(latin(l)):
			return 0, 400
		}
		at += len(l) + 2
		if l == "" {
			return at, 0
		}
	}
}

// cutOff tells whether l, the last bytes there are, could go on to a good line.
func cutOff(l string, good *regexp.Regexp, rest string) bool {
	if whole, ends := strings.CutSuffix(l, "\r"); ends {
		return good.MatchString(latin(whole))
	}
	return l == "" || good.MatchString(latin(l)) || good.MatchString(latin(l+rest))
}
