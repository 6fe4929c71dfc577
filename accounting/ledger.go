package accounting

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrAlreadyFinished is what Finish comes to when the exchange already has
	// its record. The first record stands.
	ErrAlreadyFinished = errors.New("exchange already finished")
	// ErrLedgerClosed is what Begin and Finish come to after Close.
	ErrLedgerClosed = errors.New("ledger closed")
	// ErrNoID is what an intent or a record without an id comes to.
	ErrNoID = errors.New("exchange without id")
	// ErrLedgerUnavailable is what Begin comes to when the intent cannot be kept
	// and its exchange must not go on without.
	ErrLedgerUnavailable = errors.New("ledger unavailable")
)

// Intent says that an exchange is about to contact an upstream. A durable
// ledger keeps it so that a killed process leaves no call unaccounted.
type Intent struct {
	// UID names the exchange among all that ever were; ID is its X-Request-Id,
	// which clients may choose again. AttemptID is that of the call about to be made.
	UID       UID       `json:"uid"`
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
	// PromptBytes is the size of the request body, behind the estimate of a crash.
	PromptBytes int64 `json:"prompt_bytes,omitempty"`
	// MayBill is what the provider charges for a cut answer, for the record of a crash.
	MayBill string `json:"may_bill,omitempty"`
	// Kind is why the attempt is made, one of the Attempt constants.
	Kind string `json:"kind,omitempty"`
	// Begun is when the attempt was begun; the zero time stands for Start, which is that
	// of the exchange.
	Begun time.Time `json:"begun,omitzero"`
	// Before holds the attempts of the exchange that have ended already.
	Before []Attempt `json:"before,omitempty"`
	// Required says that the exchange must not go on unless the intent is durable in
	// the ledger itself. One that is not required may be kept elsewhere for a while.
	Required bool `json:"-"`
}

// Checkpoint is how far a running exchange has come. The last one tells what a
// killed process had used.
type Checkpoint struct {
	UID UID `json:"uid"`
	// AttemptID tells which of the exchange's attempts it describes: the one that leads.
	// Where it is empty that is the last one.
	AttemptID string `json:"attempt_id,omitempty"`
	// Phase is that of the attempt at the time; one that has ended, while the exchange
	// waits before the next, keeps how far it had come.
	Phase Phase `json:"phase"`
	// Input and Output are the provider's running counts; absent where it sends none.
	Input  *int64 `json:"input,omitempty"`
	Output *int64 `json:"output,omitempty"`
	// OutputBytes is what has come of the answer: text, reasoning and tool calls.
	OutputBytes int64 `json:"output_bytes,omitempty"`
	Chunks      int64 `json:"chunks,omitempty"`
}

// Ledger keeps the records of exchanges. All methods are safe for concurrent
// use. None but Close and Get waits for a disk or a network: what takes time is told by the
// receipt, and a receipt is always settled within a bounded time.
type Ledger interface {
	// Begin notes that an exchange is about to contact an upstream; it is
	// called once before every attempt. The receipt is settled when the intent is
	// durable.
	Begin(intent Intent) *Receipt
	// Checkpoint tells how far the exchanges of this process have come that are
	// running now. It replaces what was told before and is kept at the next occasion.
	// The ledger keeps the slice.
	Checkpoint(running []Checkpoint)
	// Finish keeps the exchange's record. The ledger keeps r itself and may
	// trim its slices before it returns; from then on nobody may change r, nor
	// anything it refers to, save the buffer behind RawUsage. Exactly one
	// Finish per exchange (UID) succeeds; a further one comes to ErrAlreadyFinished.
	// The receipt is settled when the record is durable.
	Finish(r *Record) *Receipt
	// Amend replaces the record of the exchange r.UID, which must have been finished:
	// its delivery turned out otherwise, or its usage became known later.
	Amend(r *Record) *Receipt
	// Get returns the latest record of an id. The record is shared: read only.
	Get(ctx context.Context, id string) (*Record, bool)
	// Recent returns up to limit records of this process, the latest finished first; a
	// limit of zero or less means all that are remembered. The records are shared: read
	// only. The caller owns the slice.
	Recent(limit int) []*Record
	// Close ends the ledger; what was finished before is kept safely by then.
	Close() error
}
