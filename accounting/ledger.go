package accounting

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrAlreadyFinished is returned by Finish when the exchange already has
	// its record. The first record stands.
	ErrAlreadyFinished = errors.New("exchange already finished")
	// ErrLedgerClosed is returned by Begin and Finish after Close.
	ErrLedgerClosed = errors.New("ledger closed")
	// ErrNoID is returned for an intent or a record without an id.
	ErrNoID = errors.New("exchange without id")
)

// Intent says that an exchange is about to contact an upstream. A durable
// ledger keeps it so that a killed process leaves no call unaccounted.
type Intent struct {
	// ID is the exchange's id, AttemptID that of the call about to be made.
	ID        string    `json:"id"`
	AttemptID string    `json:"attempt_id,omitempty"`
	Start     time.Time `json:"start"`
	// Key is the alias of the downstream key.
	Key        string `json:"key,omitempty"`
	ModelAsked string `json:"model_asked,omitempty"`
	Model      string `json:"model,omitempty"` // the upstream's name
	Provider   string `json:"provider,omitempty"`
	Target     string `json:"target,omitempty"`
	DialectIn  string `json:"dialect_in,omitempty"`
	DialectOut string `json:"dialect_out,omitempty"`
	Endpoint   string `json:"endpoint,omitempty"`
	Stream     bool   `json:"stream"`
}

// Ledger keeps the records of exchanges. All methods are safe for concurrent
// use.
type Ledger interface {
	// Begin notes that an exchange is about to contact an upstream; it is
	// called once before every attempt. Begin of a finished id opens a new
	// exchange under that id, because clients may choose their ids again.
	Begin(ctx context.Context, intent Intent) error
	// Finish keeps the exchange's record. The ledger keeps r itself and may
	// trim its slices before it returns; from then on nobody may change r, nor
	// anything it refers to, save the buffer behind RawUsage. Exactly one
	// Finish per exchange succeeds; a further one is ErrAlreadyFinished.
	Finish(r *Record) error
	// Get returns the latest record of an id. The record is shared: read only.
	Get(id string) (*Record, bool)
	// Recent returns up to limit records, the latest finished first; a limit
	// of zero or less means all that are kept. The records are shared: read
	// only. The caller owns the slice.
	Recent(limit int) []*Record
	// Close ends the ledger; what was finished before is kept safely by then.
	Close() error
}
