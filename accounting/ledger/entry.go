package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// kind is what an entry asks for.
type kind string

const (
	kindIntent   kind = "intent"   // a call is about to be made
	kindFinish   kind = "finish"   // the record of an exchange
	kindAmend    kind = "amend"    // another record in its place
	kindWithdraw kind = "withdraw" // the call of an intent was not made
)

// entry is one thing that the books are to keep.
type entry struct {
	kind     kind
	instance string // the process that it came from
	intent   *accounting.Intent
	record   *accounting.Record

	receipt *accounting.Receipt // nil when nobody waits
	queued  time.Time
	// replayed says that the entry may be in the books already: what was to be done once
	// and has been done is no mistake then.
	replayed bool
	// unsure says that the exchange may have intents in the database, so that its record
	// must remove them.
	unsure bool
}

// uid names the exchange of an entry.
func (e *entry) uid() accounting.UID {
	if e.intent != nil {
		return e.intent.UID
	}
	return e.record.UID
}

// settle tells whoever waits what came of the entry, once.
func (e *entry) settle(err error) {
	if e.receipt != nil {
		e.receipt.Settle(err)
		e.receipt = nil
	}
}

// spooledEntry is an entry in the words of the spool.
type spooledEntry struct {
	Kind     kind               `json:"kind"`
	Instance string             `json:"instance"`
	Intent   *accounting.Intent `json:"intent,omitempty"`
	Record   *accounting.Record `json:"record,omitempty"`
}

// encode is the entry for the spool.
func (e *entry) encode() ([]byte, error) {
	b, err := json.Marshal(spooledEntry{Kind: e.kind, Instance: e.instance, Intent: e.intent, Record: e.record})
	if err != nil {
		return nil, fmt.Errorf("encoding an entry of the spool: %w", err)
	}
	return b, nil
}

// errEntry keeps what stands in the spool out of the message.
var errEntry = errors.New("not an entry of the spool")

// decodeEntry reads what encode wrote.
func decodeEntry(b []byte) (*entry, error) {
	var s spooledEntry
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, errEntry
	}
	switch s.Kind {
	case kindIntent, kindWithdraw:
		if s.Intent == nil || s.Intent.UID.IsZero() {
			return nil, errEntry
		}
		s.Record = nil
	case kindFinish, kindAmend:
		if s.Record == nil || s.Record.UID.IsZero() {
			return nil, errEntry
		}
		s.Intent = nil
		markFinal(s.Record.Attempts)
	default:
		return nil, errEntry
	}
	return &entry{kind: s.Kind, instance: s.Instance, intent: s.Intent, record: s.Record, replayed: true, unsure: true}, nil
}

// markFinal makes the last attempt the final one where none is: so it was when the version
// wrote that knew of one alone.
func markFinal(attempts []accounting.Attempt) {
	final := slices.ContainsFunc(attempts, func(a accounting.Attempt) bool { return a.Final })
	if !final && len(attempts) > 0 {
		attempts[len(attempts)-1].Final = true
	}
}
