package accounting

import "sync"

// Receipt tells when something that was handed to the ledger is kept, or that it is not.
// Whoever makes it settles it once.
type Receipt struct {
	done chan struct{}

	mu   sync.Mutex
	over bool
	err  error
	then []func(error)
}

// NewReceipt returns one that is not settled yet.
func NewReceipt() *Receipt { return &Receipt{done: make(chan struct{})} }

// settled is shared by all receipts that were settled well at once.
var settled = func() *Receipt {
	r := NewReceipt()
	r.Settle(nil)
	return r
}()

// Settled returns a receipt that is settled with err.
func Settled(err error) *Receipt {
	if err == nil {
		return settled
	}
	r := NewReceipt()
	r.Settle(err)
	return r
}

// Settle tells everyone who waits that the thing is kept, or with err that it is not. It
// runs what Then has left with it.
func (r *Receipt) Settle(err error) {
	r.mu.Lock()
	r.over, r.err = true, err
	waiting := r.then
	r.then = nil
	r.mu.Unlock()
	close(r.done)
	for _, f := range waiting {
		f(err)
	}
}

// Done is closed when the receipt is settled.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Err waits until the receipt is settled and returns what came of it.
func (r *Receipt) Err() error {
	<-r.done
	return r.err
}

// Then runs f with what came of it: now if the receipt is settled, else in the goroutine
// that settles it, which f must not hold up.
func (r *Receipt) Then(f func(error)) {
	r.mu.Lock()
	if !r.over {
		r.then = append(r.then, f)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	f(r.err)
}
