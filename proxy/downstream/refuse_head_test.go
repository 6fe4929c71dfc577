package downstream

import (
	"strings"
	"testing"
)

// row C9, C10
func TestBadLinesOfAHeadAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"bare LF at the request line", "GET /x HTTP/1.1\nHost: h\r\n\r\n", 400},
		{"bare LF at a field", "GET /x HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400},
		{"bare LF at the end", "GET /x HTTP/1.1\r\nHost: h\r\n\n", 400},
		{"bare CR in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400},
		{"bare CR in the request line", "GET /x\r HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"NUL in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", 400},
		{"NUL in the target", "GET /x\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"control character in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x01c\r\n\r\n", 400},
		{"delete character in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x7fc\r\n\r\n", 400},
		{"obsolete fold", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400},
		{"obsolete fold with tab", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", 400},
		{"space in front of the first field", "GET /x HTTP/1.1\r\n Host: h\r\n\r\n", 400},
		{"space before the colon", "GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400},
		{"tab before the colon", "GET /x HTTP/1.1\r\nHost\t: h\r\n\r\n", 400},
		{"space inside a name", "GET /x HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", 400},
		{"empty name", "GET /x HTTP/1.1\r\nHost: h\r\n: c\r\n\r\n", 400},
		{"no colon", "GET /x HTTP/1.1\r\nHost: h\r\nabc\r\n\r\n", 400},
		{"high byte in a name", "GET /x HTTP/1.1\r\nHost: h\r\n\xc3\xa4: c\r\n\r\n", 400},
		{"brackets in a name", "GET /x HTTP/1.1\r\nHost: h\r\nA(b): c\r\n\r\n", 400},
		{"two spaces", "GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"space in the target", "GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"trailing space", "GET /x HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
		{"leading space", " GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"tab as separator", "GET\t/x\tHTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"two empty lines in front", "\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"bare LF in front", "\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"TLS to a plain port", "\x16\x03\x01\x00\x05\r\n\r\n", 400},
		{"bare LF everywhere", "GET /x HTTP/1.1\nHost: h\n\n", 400},
		{"CR LF LF at the end", "GET /x HTTP/1.1\r\nHost: h\r\n\n\r\n", 400},
		{"CR CR LF at a field", "GET /x HTTP/1.1\r\nHost: h\r\r\n\r\n", 400},
		{"LF CR at a field", "GET /x HTTP/1.1\r\nHost: h\n\rA: b\r\n\r\n", 400},
		{"bare CR in front of the head", "\rGET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"bare CR in a name", "GET /x HTTP/1.1\r\nHost: h\r\nA\rB: c\r\n\r\n", 400},
		{"NUL in a name", "GET /x HTTP/1.1\r\nHost: h\r\nA\x00: b\r\n\r\n", 400},
		{"NUL in the method", "GE\x00T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"fold with nothing in it", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n \r\n\r\n", 400},
		{"fold behind the request line", "GET /x HTTP/1.1\r\n\tHost: h\r\n\r\n", 400},
		{"quoted name", "GET /x HTTP/1.1\r\nHost: h\r\n\"A\": b\r\n\r\n", 400},
		{"vertical tab as separator", "GET\v/x\vHTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"no-break space as separator", "GET\xa0/x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"request line of one word", "GET\r\nHost: h\r\n\r\n", 400},
		{"request line of nothing but spaces", "  \r\nHost: h\r\n\r\n", 400},
		{"a request inside a target", "GET /x\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"a status line", "HTTP/1.1 200 OK\r\nHost: h\r\n\r\n", 400},
	})
}

// row C9
func TestOtherVersionsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"HTTP/1.2", "GET /x HTTP/1.2\r\nHost: h\r\n\r\n", 400},
		{"HTTP/2.0", "GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 400},
		{"HTTP/0.9", "GET /x HTTP/0.9\r\nHost: h\r\n\r\n", 400},
		{"HTTP/1.10", "GET /x HTTP/1.10\r\nHost: h\r\n\r\n", 400},
		{"lower-case version", "GET /x http/1.1\r\nHost: h\r\n\r\n", 400},
		{"no version", "GET /x\r\nHost: h\r\n\r\n", 400},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"HTTP/1.", "GET /x HTTP/1.\r\nHost: h\r\n\r\n", 400},
		{"HTTP/1.1 and more", "GET /x HTTP/1.1x\r\nHost: h\r\n\r\n", 400},
		{"HTTP/01.1", "GET /x HTTP/01.1\r\nHost: h\r\n\r\n", 400},
		{"HTTP/11", "GET /x HTTP/11\r\nHost: h\r\n\r\n", 400},
		{"HTTP/3", "GET /x HTTP/3\r\nHost: h\r\n\r\n", 400},
		{"HTTPS/1.1", "GET /x HTTPS/1.1\r\nHost: h\r\n\r\n", 400},
		{"version with a comma", "GET /x HTTP/1,1\r\nHost: h\r\n\r\n", 400},
		{"version of another protocol", "GET /x RTSP/1.1\r\nHost: h\r\n\r\n", 400},
		{"HTTP/2 preface with a host", "PRI * HTTP/2.0\r\nHost: h\r\n\r\nSM\r\n\r\n", 400},
	})
}

// row C10
func TestMissingAndManyHostsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"no Host", "GET /x HTTP/1.1\r\nA: b\r\n\r\n", 400},
		{"two Hosts", "GET /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
		{"two Hosts in HTTP/1.0", "GET /x HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n", 400},
		{"empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"Host with a path", "GET /x HTTP/1.1\r\nHost: h/x\r\n\r\n", 400},
		{"Host with a user", "GET /x HTTP/1.1\r\nHost: a@h\r\n\r\n", 400},
		{"Host with a space", "GET /x HTTP/1.1\r\nHost: h i\r\n\r\n", 400},
		{"two Hosts in odd case", "GET /x HTTP/1.1\r\nHost: h\r\nhOST: i\r\n\r\n", 400},
		{"two Hosts far apart", "GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 100) + "Host: h\r\n\r\n", 400},
		{"Host list", "GET /x HTTP/1.1\r\nHost: h i,j\r\n\r\n", 400},
		{"Host with a port that is none", "GET /x HTTP/1.1\r\nHost: h:x\r\n\r\n", 400},
		{"Host with two ports", "GET /x HTTP/1.1\r\nHost: h:1:2\r\n\r\n", 400},
		{"Host without a name", "GET /x HTTP/1.1\r\nHost: :80\r\n\r\n", 400},
		{"Host with an open bracket", "GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"Host with a name in brackets", "GET /x HTTP/1.1\r\nHost: [localhost]\r\n\r\n", 400},
		{"Host with something behind brackets", "GET /x HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400},
		{"Host with an escape", "GET /x HTTP/1.1\r\nHost: h%2ex\r\n\r\n", 400},
		{"Host with a query", "GET /x HTTP/1.1\r\nHost: h?x\r\n\r\n", 400},
		{"Host with a fragment", "GET /x HTTP/1.1\r\nHost: h#x\r\n\r\n", 400},
		{"Host with a backslash", "GET /x HTTP/1.1\r\nHost: h\\x\r\n\r\n", 400},
		{"Host with a high byte", "GET /x HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400},
		{"Host folded", "GET /x HTTP/1.1\r\nHost:\r\n h\r\n\r\n", 400},
		{"Host with a scheme", "GET /x HTTP/1.1\r\nHost: http://h\r\n\r\n", 400},
	})
}

// row C14
func TestOddTargetsAndMethodsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"fragment", "GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"high byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"target without a slash", "GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk and more", "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 405},
		{"TRACE", "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"unknown method", "BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"lower-case method", "get /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"method that is no token", "G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"absolute form of another host", "GET http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"absolute form unlike Host", "GET http://localhost/x HTTP/1.1\r\nHost: h\r\n\r\n", 421},
		{"absolute form with a user", "GET http://a@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"absolute form of another scheme", "GET ftp://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"CONNECT to ourselves", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 405},
		{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"TRACE with a body", "TRACE /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 405},
		{"TRACK", "TRACK /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"PROPFIND", "PROPFIND /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"a method that begins like another", "POSTX /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"no method", " /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk for POST", "POST * HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 400},
		{"authority form for GET", "GET h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 400},
		{"absolute form without a host", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"absolute form without slashes", "GET http:localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"absolute form of a file", "GET file:///etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"absolute form with another port", "GET http://localhost:1/x HTTP/1.1\r\nHost: localhost:2\r\n\r\n", 421},
		{"absolute form of an address", "GET http://10.0.0.1/x HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", 421},
		{"absolute form of a name that begins like ours", "GET http://localhost.evil.example/x HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421},
		{"absolute form with a backslash", "GET http://evil.example\\@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"absolute form in HTTP/1.0", "GET http://evil.example/x HTTP/1.0\r\n\r\n", 421},
	})
}

// row C13
func TestUnknownExpectationsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"unknown expectation", postHead + "Expect: 200-maybe\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"expectation twice", postHead + "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"empty expectation", postHead + "Expect:\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"expectation list", postHead + "Expect: 100-continue, 100-continue\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"expectation with a parameter", postHead + "Expect: 100-continue;q=1\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"unknown expectation without a body", "GET /x HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417},
		{"expectation and a length above the limit", postHead + "Expect: 100-continue\r\nContent-Length: 10000000000\r\n\r\n", 413},
		{"expectation and a bad length", postHead + "Expect: 100-continue\r\nContent-Length: 5x\r\n\r\nhello", 400},
		{"expectation, length and coding", postHead + "Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"expectation without Host", "POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"expectation of TRACE", "TRACE /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 405},
	})
}
