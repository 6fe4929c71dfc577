// Package credential proves to a provider who is calling: with a key, with a
// signature made from AWS credentials, or with a Google access token.
//
// Nothing is looked for before the first request needs it. What has to be fetched is
// fetched once for all who wait, kept, and renewed before it expires. Whoever leaves
// ends the own wait at once, and the fetch goes on for the others within its limit.
package credential

import (
	"context"
	"time"
)

// Source authenticates requests. It is safe for concurrent use.
type Source interface {
	// Fields returns the header fields that authenticate r, which the caller must not
	// modify. It may have to fetch something over the network first: the end of ctx
	// ends the wait for that with an error that matches ctx.Err(). Other errors are
	// *Error.
	Fields(ctx context.Context, r Request) ([]Field, error)
}

// Request is what a signature covers. Sources that sign nothing look at none of it.
type Request struct {
	Method string
	// Target is the target of the request line: path and query as they are sent, in
	// the absolute form for plain HTTP through a forward proxy.
	Target string
	// Host is the value of the Host field.
	Host string
	// Body is only read, and not kept.
	Body []byte
	// Time is when the request is made; zero is now.
	Time time.Time
}

// Field is one header field.
type Field struct{ Name, Value string }

// fixed is a credential that is the same for every request.
type fixed []Field

func (f fixed) Fields(context.Context, Request) ([]Field, error) { return f, nil }

// Bearer sends key as a bearer token (RFC 6750, section 2.1).
func Bearer(key string) Source { return fixed{{"Authorization", "Bearer " + key}} }

// Header sends key as it is, in a field of its own such as X-Api-Key.
func Header(name, key string) Source { return fixed{{name, key}} }
