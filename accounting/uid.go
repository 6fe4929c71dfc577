package accounting

import (
	"errors"

	"github.com/google/uuid"
)

// UID names one exchange among all that ever were, in any process: a UUID of version 7
// (RFC 9562), whose order is that of time. The id that clients see is another one: they
// may choose it, and choose it again.
type UID [16]byte

// NewUID returns a new name.
func NewUID() UID { return UID(uuid.Must(uuid.NewV7())) }

// IsZero reports that there is none.
func (u UID) IsZero() bool { return u == UID{} }

// String returns the usual form of a UUID.
func (u UID) String() string { return uuid.UUID(u).String() }

// MarshalText writes the usual form.
func (u UID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// errUID keeps the text, which may come from outside, out of the message.
var errUID = errors.New("not a UUID")

// UnmarshalText reads what MarshalText wrote.
func (u *UID) UnmarshalText(text []byte) error {
	parsed, err := uuid.ParseBytes(text)
	if err != nil {
		return errUID
	}
	*u = UID(parsed)
	return nil
}
