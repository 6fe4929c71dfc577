package fakeprovider

import (
	"slices"
	"sync/atomic"
)

// arrivals counts the requests of all providers of the process.
var arrivals atomic.Int64

// Provider is the one that the request came to.
func (e *Exchange) Provider() *Provider { return e.provider }

// CallsTo lists the requests that providers have seen so far, all of them in the order in
// which they came.
func CallsTo(providers ...*Provider) []*Exchange {
	var all []*Exchange
	for _, p := range providers {
		all = append(all, p.Exchanges()...)
	}
	slices.SortFunc(all, func(a, b *Exchange) int { return int(a.order - b.order) })
	return all
}

// InTurn answers the first request with the first script, and so on; the last script is
// for all that follow.
func InTurn(scripts ...Script) Script {
	var calls atomic.Int64
	return func(e *Exchange) {
		n := int(calls.Add(1))
		scripts[min(n, len(scripts))-1](e)
	}
}
