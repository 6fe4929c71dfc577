package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Codes of the failures of an upstream connection, as clients and records see them.
const (
	CodeConnectFailed  = "upstream_connect_failed"
	CodeConnectTimeout = "upstream_connect_timeout"
	CodeDNS            = "upstream_dns"
	CodeTLS            = "upstream_tls"
	CodeBadResponse    = "upstream_bad_response"
	CodeReset          = "upstream_reset"
	CodeClosed         = "upstream_closed"
)

// Error is a failed operation on an upstream connection. Its text is made of fixed
// words and of the names of system errors: it never quotes what the upstream sent,
// an address or a certificate.
type Error struct {
	// Code says what failed; it is one of the Code constants.
	Code string
	// Op says what was being done, as "dialing".
	Op string
	// Detail says what went wrong.
	Detail string

	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Op + " upstream: " + e.Detail }

// Unwrap returns the cause where it is a plain one: an error number, the end of a
// context, a closed connection.
func (e *Error) Unwrap() error { return e.cause }

// ErrTruncated says that a body ended before its framing did. It matches
// io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("reading from upstream: connection closed before the end of the body: %w", io.ErrUnexpectedEOF)

// ErrInterrupted says that a read was woken by Conn.Interrupt. Nothing is lost:
// the same call may be made again.
var ErrInterrupted = errors.New("reading from upstream: interrupted")

var (
	errNoHead   = errors.New("reading from upstream: body read before the head")
	errNested   = errors.New("reading from upstream: body read from within Each")
	errReleased = errors.New("reading from upstream: body read after its buffer was released")
	errNoAnswer = &Error{Code: CodeClosed, Op: "reading from", Detail: "connection closed before the answer", cause: io.ErrUnexpectedEOF}
)

func badResponse(detail string) *Error {
	return &Error{Code: CodeBadResponse, Op: "reading from", Detail: detail}
}

// socketError turns a failure of the socket, or of TLS on it, into one that is safe
// to show. The ends of a stream, io.EOF and io.ErrUnexpectedEOF, stay as they are.
func socketError(op string, err error, encrypted bool) error {
	var errno syscall.Errno
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, net.ErrClosed):
		return &Error{Code: CodeClosed, Op: op, Detail: "connection closed on this side", cause: net.ErrClosed}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrInterrupted
	case errors.As(err, &errno):
		return &Error{Code: CodeReset, Op: op, Detail: errno.Error(), cause: errno}
	case encrypted:
		return &Error{Code: CodeTLS, Op: op, Detail: tlsDetail(err)}
	default:
		return &Error{Code: CodeReset, Op: op, Detail: "connection lost"}
	}
}
