//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"time"
)

// anyNonce finds the names of requests in whatever comes along.
var anyNonce = regexp.MustCompile(`soak-[0-9a-f]{16}`)

// nonce is the name of a request: its X-Request-Id, a word of its prompt, and a part of
// every piece of its answer.
func nonce(seed uint64, n int64) string {
	return fmt.Sprintf("soak-%016x", rand.NewPCG(seed, uint64(n)).Uint64())
}

// leaving is how a client leaves.
type leaving int

const (
	stays leaving = iota
	leavesWithFIN
	leavesWithRST
	halfCloses
)

// plannedCalls is how many upstream calls of a request have a plan; further ones go well.
const plannedCalls = 4

// plan is what shall happen to a request.
type plan struct {
	nonce  string
	key    *clientKey
	model  string
	stream bool
	usage  bool // the client asks for it

	faults [plannedCalls]fault
	head   time.Duration // until the answer begins
	every  time.Duration // from piece to piece
	pieces int

	leave       leaving
	leaveAfter  time.Duration // after the request has been sent
	leaveUpload float64       // share of the request that is sent; 0: all of it
	leaveBytes  int           // of the answer; 0: goes by the time
	cancelAfter time.Duration // 0: nobody cancels
}

// longest is about the time that an answer may take.
func (p *plan) longest() time.Duration { return p.head + time.Duration(p.pieces)*p.every }

// newPlan draws one.
func (s *settings) newPlan(random *rand.Rand, n int64, models []string) *plan {
	p := &plan{
		nonce: nonce(s.seed, n), key: pickKey(random), model: models[random.IntN(len(models))],
		stream: random.IntN(4) > 0, usage: random.IntN(2) == 0,
		head: upTo(random, 40*time.Millisecond), every: upTo(random, 80*time.Millisecond), pieces: 2 + random.IntN(25),
	}
	for i := range p.faults {
		if random.Float64() < s.faults {
			p.faults[i] = randomFault(random, p.stream)
		}
	}
	switch x := random.Float64(); {
	case x < s.aborts:
		p.leave = leaving(1 + random.IntN(int(halfCloses)))
		switch random.IntN(5) {
		case 0:
			p.leaveUpload = random.Float64()
		case 1:
			p.leaveBytes = 1 + random.IntN(4000)
		default:
			p.leaveAfter = upTo(random, p.longest()+5*time.Millisecond)
		}
	case x < s.aborts+s.cancels:
		p.cancelAfter = upTo(random, p.longest()+5*time.Millisecond) + 1
	}
	return p
}

func upTo(random *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(d)))
}

// call is an upstream call as the upstream saw it.
type call struct {
	provider string
	fault    fault
}

// story is what has happened to a request.
type story struct {
	plan

	mu    sync.Mutex
	calls []call

	// What follows is written by the client before the story is read.
	view      view
	cancelled string // what the cancel call answered, empty if nothing useful
}

// begin notes a call, and tells its number, from 1, and what shall go wrong.
func (s *story) begin(provider string) (n int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = len(s.calls) + 1
	if n <= plannedCalls {
		f = s.faults[n-1]
	}
	s.calls = append(s.calls, call{provider: provider, fault: f})
	return n, f
}

// suffered reports whether a call went wrong in a way that explains such an outcome.
func (s *story) suffered(outcome string) bool {
	return slices.ContainsFunc(s.calls, func(c call) bool { return slices.Contains(misdeeds[c.fault].outcomes, outcome) })
}

// suffers reports whether any call went wrong so that the client may notice.
func (s *story) suffers() bool {
	return slices.ContainsFunc(s.calls, func(c call) bool { return c.fault != faultNone && c.fault != leftover })
}

// diary holds the stories of all requests.
type diary struct {
	mu      sync.Mutex
	stories map[string]*story
}

func newDiary() *diary { return &diary{stories: make(map[string]*story)} }

func (d *diary) open(p *plan) *story {
	s := &story{plan: *p}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stories[p.nonce] = s
	return s
}

func (d *diary) find(nonce string) *story {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stories[nonce]
}
