// Package limits decides whether a request may start and whether a running one may go
// on: rates, requests at the same time, and budgets. One process counts in memory;
// several count together in Redis or Valkey.
//
// What a request may use is reserved when it comes and settled when it ends, so neither
// a burst nor a client that hangs up early gets around a limit.
package limits

import (
	"time"
)

// Kind is what a limit is for.
type Kind string

// The kinds of subjects.
const (
	Key      Kind = "key"
	Model    Kind = "model"
	Provider Kind = "provider"
)

// Fail says what holds while the shared counters cannot be reached.
type Fail string

const (
	// Open counts in this process alone meanwhile.
	Open Fail = "open"
	// Closed refuses with *Unavailable.
	Closed Fail = "closed"
)

// Period is how long a budget lasts, in UTC.
type Period string

// The periods of budgets.
const (
	Day   Period = "day"
	Month Period = "month"
	Total Period = "total"
)

// Unit is what a budget counts.
type Unit uint8

const (
	// NanoUSD is a billionth of a US dollar.
	NanoUSD Unit = iota
	// Tokens are input and output tokens together.
	Tokens
)

// Budget is a spending limit of a period.
type Budget struct {
	Unit   Unit
	Amount int64
	Per    Period
	// Hard budgets also bound what runs: what is spent and reserved together never
	// crosses them. One that is not hard only refuses new requests once it is spent.
	Hard bool
	// Fail is Closed for a hard budget and Open for another one when it is empty. It
	// also says what holds while Options.Seed fails.
	Fail Fail
}

// closed reports that nothing may be admitted unless the counters are known.
func (b *Budget) closed() bool {
	return b.Fail == Closed || b.Fail == "" && b.Hard
}

// Quota bounds the use of a key, a model or a provider. Zero values bound nothing.
type Quota struct {
	// RequestsPerMinute and TokensPerMinute may be used up at once and come back
	// evenly. A request that asks for more tokens than there are in a minute is admitted
	// when the whole minute is free, and the next ones wait until its tokens have come
	// back.
	RequestsPerMinute, TokensPerMinute int64
	// Streams is the number of requests at the same time.
	Streams int64
	Budgets []Budget
	// Fail holds for the rates and the streams; Open when it is empty.
	Fail Fail
}

// limited reports that something is bounded.
func (q *Quota) limited() bool {
	return q != nil && (q.counted() || len(q.Budgets) > 0)
}

// counted reports that something besides budgets is bounded.
func (q *Quota) counted() bool {
	return q.RequestsPerMinute > 0 || q.TokensPerMinute > 0 || q.Streams > 0
}

// Subject is somebody or something whose use is bounded. Its counters go by its kind and
// its name. The quota must not change while a request is there that was asked for with
// it; another quota for the same name goes on with the same counters.
type Subject struct {
	Kind  Kind
	Name  string
	Quota *Quota
}

// Amount is what a request uses, or may use.
type Amount struct {
	Tokens, NanoUSD int64
}

// of is the part of the amount that a budget counts.
func (a Amount) of(u Unit) int64 {
	if u == Tokens {
		return a.Tokens
	}
	return a.NanoUSD
}

// mostAmount bounds what one request may be said to use, so that sums do not overflow:
// four million dollars, or as many tokens as they are nano-dollars.
const mostAmount = 1 << 52

func (a Amount) clamped() Amount {
	return Amount{Tokens: clamp(a.Tokens), NanoUSD: clamp(a.NanoUSD)}
}

func clamp(n int64) int64 { return min(max(n, 0), mostAmount) }

func (a Amount) atLeast(b Amount) Amount {
	return Amount{Tokens: max(a.Tokens, b.Tokens), NanoUSD: max(a.NanoUSD, b.NanoUSD)}
}

// Ask is a request that wants to start.
type Ask struct {
	// ID names the exchange among those of all processes.
	ID string
	// Subjects are decided together: all or none.
	Subjects []Subject
	// Reserve is what the request is expected to use at most.
	Reserve Amount
}

// Limit is the kind of limit that a request ran into.
type Limit string

// The kinds of limits.
const (
	LimitRequests Limit = "requests"
	LimitTokens   Limit = "tokens"
	LimitStreams  Limit = "streams"
	LimitBudget   Limit = "budget"
)

// RateState is how much of a rate is left.
type RateState struct {
	Limit, Remaining int64
	// Reset is the time after which all of it is free again, if nothing is used.
	Reset time.Duration
	// Set is false when there is no such limit.
	Set bool
}

// State is how much is left of the rates, each for the subject that has least left.
type State struct {
	Requests, Tokens RateState
}

// tighter is the state with less left.
func (r RateState) tighter(other RateState) RateState {
	switch {
	case !other.Set:
		return r
	case !r.Set || other.Remaining < r.Remaining || other.Remaining == r.Remaining && other.Reset > r.Reset:
		return other
	}
	return r
}

// Held is what this process holds at the moment.
type Held struct {
	// Reservations are the requests that are not settled, of those that have limits.
	Reservations int64
	// Streams is the number of slots in use, of all subjects that bound them.
	Streams int64
	// Reserved is what they have reserved together.
	Reserved Amount
	// Queued are settlements that the shared counters do not know yet.
	Queued int64
}
