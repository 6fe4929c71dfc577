// Package access knows who may come in, and with what: the keys of the configuration and
// those of the ledger's database.
//
// A key is known by its SHA-256 only. Who came in is told by a snapshot in memory, so that
// no request waits for the database, and none is turned away because it is down.
package access

import "github.com/sluicehq/sluice/config"

// Caller is who sent a request. It is shared by goroutines: nobody changes it, nor what it
// refers to.
type Caller struct {
	// Alias is empty where no key is asked for.
	Alias string
	// Admin callers see and cancel the requests of all, and manage keys.
	Admin bool
	// Models are the patterns of MayAsk.
	Models []string
	// Metadata are the notes that go into the records of the requests.
	Metadata map[string]string
	Limits   config.Quota
	// Capture tells that prompts and answers are kept.
	Capture bool
	// OnLedgerFailure is empty when the setting of the whole configuration holds.
	OnLedgerFailure string
	// Stored tells that the key is in the database and not in the configuration.
	Stored bool
}

// anyone is the caller where no key is asked for: all requests are everybody's.
var anyone = &Caller{Admin: true}

// callerOf is who holds a key.
func callerOf(k config.Key, stored bool) *Caller {
	return &Caller{
		Alias: k.Alias, Admin: k.Admin, Models: k.Models, Metadata: k.Metadata, Limits: k.Limits,
		Capture: k.Capture, OnLedgerFailure: k.OnLedgerFailure, Stored: stored,
	}
}

// MayManage tells whether c may see and cancel an exchange of the key owner.
func (c *Caller) MayManage(owner string) bool { return c.Admin || c.Alias == owner }

// MayAsk tells whether c may ask for a model: one of the patterns in Models is its name,
// where a * stands for any run of characters. Without patterns all are allowed.
func (c *Caller) MayAsk(model string) bool {
	return config.Key{Models: c.Models}.Allows(model)
}
