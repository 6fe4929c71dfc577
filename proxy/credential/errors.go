package credential

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Error says why there is no credential. Its text is made of fixed words, of the
// names of system errors and of codes that services answered with: it holds no
// secret, and nothing else of what they sent.
type Error struct {
	// Op says what was being done, as "getting AWS credentials".
	Op string
	// Detail says what went wrong.
	Detail string

	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Op + ": " + e.Detail }

// Unwrap returns the cause where it is a plain one: the end of a context or an error
// number.
func (e *Error) Unwrap() error { return e.cause }

// abandoned says that the caller's own context ended the wait.
func abandoned(ctx context.Context, op string) error {
	return &Error{Op: op, Detail: "nobody waits for it any more", cause: ctx.Err()}
}

// plainError names a cause that all services have in common; nil for another one.
func plainError(op string, err error) *Error {
	var (
		own   *Error
		errno syscall.Errno
		name  *net.DNSError
		dial  *net.OpError
		wait  interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.Canceled):
		return &Error{Op: op, Detail: "sluice is stopping", cause: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return &Error{Op: op, Detail: "no answer in time", cause: context.DeadlineExceeded}
	case errors.As(err, &name):
		return &Error{Op: op, Detail: "the name of the service cannot be resolved"}
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return &Error{Op: op, Detail: "a file with credentials cannot be read"}
	case errors.As(err, &errno):
		return &Error{Op: op, Detail: errno.Error(), cause: errno}
	case errors.As(err, &dial):
		return &Error{Op: op, Detail: "the service cannot be reached"}
	}
	return nil
}

// plainErrorOr is plainError, with a detail for all other causes.
func plainErrorOr(op string, err error, detail string) *Error {
	if e := plainError(op, err); e != nil {
		return e
	}
	return &Error{Op: op, Detail: detail}
}

// answered says what a service answered with: its status, and its code for the error
// if that is a mere word.
func answered(op, service string, status int, code string) *Error {
	detail := service + " answered"
	if status > 0 {
		detail += " " + strconv.Itoa(status)
	}
	if isCode(code) {
		detail += " " + code
	}
	return &Error{Op: op, Detail: detail}
}

// isCode reports whether s is an error code rather than prose: one short word.
func isCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 48
}

// fieldValue reports whether s can stand in a header field without ending it.
func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
