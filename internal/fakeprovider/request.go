package fakeprovider

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// maxHead bounds the head of a request.
const maxHead = 1 << 20

// Field is one header field as it came.
type Field struct{ Name, Value string }

// Request is one request as it came over the wire.
type Request struct {
	Method, Target, Proto string
	Fields                []Field     // in wire order, names in the case they came in
	Header                http.Header // the same with canonical names
	Head                  []byte      // raw, with the blank line
	Body                  []byte      // without chunk framing; nil while held (HoldBody)
}

// Get returns the first value of a header field; the case of name does not matter.
func (r *Request) Get(name string) string { return r.Header.Get(name) }

func (r *Request) wantsContinue() bool {
	return strings.EqualFold(r.Get("Expect"), "100-continue")
}

func (r *Request) chunked() bool {
	return strings.EqualFold(r.Get("Transfer-Encoding"), "chunked")
}

func (r *Request) hasBody() bool {
	length := r.Get("Content-Length")
	return r.chunked() || (length != "" && length != "0")
}

func (r *Request) wantsClose() bool {
	for _, v := range r.Header.Values("Connection") {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "close") {
				return true
			}
		}
	}
	return r.Proto != "HTTP/1.1"
}

var errBadRequest = errors.New("malformed request")

// readHead reads up to the blank line. io.EOF means that nothing came at all.
func readHead(in *inbox) (*Request, error) {
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		b, err := in.ReadByte()
		if err != nil {
			if len(head) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if head = append(head, b); len(head) > maxHead {
			return nil, errBadRequest
		}
	}
	return parseHead(head)
}

func parseHead(head []byte) (*Request, error) {
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	r := &Request{Head: head, Header: http.Header{}}
	var ok1, ok2 bool
	var rest string
	r.Method, rest, ok1 = strings.Cut(lines[0], " ")
	r.Target, r.Proto, ok2 = strings.Cut(rest, " ")
	if !ok1 || !ok2 || !strings.HasPrefix(r.Proto, "HTTP/1.") {
		return nil, errBadRequest
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, errBadRequest
		}
		value = strings.Trim(value, " \t")
		r.Fields = append(r.Fields, Field{name, value})
		key := textproto.CanonicalMIMEHeaderKey(name)
		r.Header[key] = append(r.Header[key], value)
	}
	return r, nil
}

// readBody reads the whole body. Any early end is io.ErrUnexpectedEOF.
func readBody(in *inbox, r *Request) ([]byte, error) {
	if r.chunked() {
		return readChunks(in)
	}
	length := r.Get("Content-Length")
	if length == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(length, 10, 40)
	if err != nil {
		return nil, errBadRequest
	}
	body := make([]byte, 0, min(n, 1<<20))
	for uint64(len(body)) < n {
		piece := make([]byte, min(n-uint64(len(body)), 64<<10))
		got, err := in.Read(piece)
		if err != nil {
			return body, io.ErrUnexpectedEOF
		}
		body = append(body, piece[:got]...)
	}
	return body, nil
}

func readChunks(in *inbox) ([]byte, error) {
	var body []byte
	for {
		line, err := readLine(in)
		if err != nil {
			return body, err
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(digits, 16, 40)
		if err != nil {
			return body, fmt.Errorf("reading a chunk size: %w", errBadRequest)
		}
		if size == 0 {
			break
		}
		chunk := make([]byte, size)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return body, io.ErrUnexpectedEOF
		}
		body = append(body, chunk...)
		if line, err := readLine(in); err != nil || line != "" {
			return body, errors.Join(errBadRequest, err)
		}
	}
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return body, err
		}
	}
}

func readLine(in *inbox) (string, error) {
	var line []byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		b, err := in.ReadByte()
		if err != nil {
			return "", io.ErrUnexpectedEOF
		}
		if line = append(line, b); len(line) > 64<<10 {
			return "", errBadRequest
		}
	}
	return string(line[:len(line)-2]), nil
}
