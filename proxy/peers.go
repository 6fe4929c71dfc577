package proxy

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/translate"
)

// Peers are the other replicas. *replicas.Bus is one.
type Peers interface {
	// Ask asks all others and returns what those say that have something to say, as soon
	// as all have answered or enough says so. complete is false if somebody did not.
	Ask(ctx context.Context, kind string, question []byte, enough func([]byte) bool) (answers [][]byte, complete bool)
	// Tell tells all others something and expects no answer.
	Tell(kind string, message []byte)
}

// The questions that replicas ask each other.
const (
	askRunning = "running" // for the exchanges in flight
	askShow    = "show"    // for one of them
	askCancel  = "cancel"  // to end one of them
)

// tellKeys tells the others that keys have changed.
const tellKeys = "keys"

// peerTime bounds the wait for other replicas.
const peerTime = time.Second

// question is about an exchange, or all of them, as one of these callers may see it.
type question struct {
	ID    string `json:"id,omitempty"`
	Alias string `json:"alias,omitempty"`
	Admin bool   `json:"admin,omitempty"`
}

// cancelAnswer is the answer of the replica that holds an exchange.
type cancelAnswer struct {
	Status accounting.Outcome `json:"status"`
}

// Join makes the server one of several replicas. It is called before Serve.
func (s *Server) Join(peers Peers) { s.peers = peers }

// Answer answers the question of another replica. ok is false when there is nothing to
// say. It does not wait.
func (s *Server) Answer(kind string, asked []byte) (answer []byte, ok bool) {
	if kind == tellKeys {
		s.keys.RefreshSoon()
		return nil, false
	}
	var q question
	if json.Unmarshal(asked, &q) != nil {
		return nil, false
	}
	who := &access.Caller{Alias: q.Alias, Admin: q.Admin}
	var said any
	switch x := s.running.get(q.ID); kind {
	case askRunning:
		said = s.runningOf(who)
	case askShow:
		if x == nil || x.over() || !who.MayManage(x.owner.Alias) {
			return nil, false
		}
		said = x.view()
	case askCancel:
		if x == nil || !who.MayManage(x.owner.Alias) {
			return nil, false
		}
		said = cancelAnswer{Status: x.cancel()}
	default:
		return nil, false
	}
	answer, err := json.Marshal(said)
	return answer, err == nil
}

// KeysChanged is called when the keys in the books have changed.
func (s *Server) KeysChanged() {
	ctx, cancel := context.WithTimeout(s.life, peerTime)
	defer cancel()
	_ = s.keys.Refresh(ctx) // it has said why, and tries again
	if s.peers != nil {
		s.peers.Tell(tellKeys, nil)
	}
}

// ask asks the other replicas on behalf of a caller. It returns nothing where there are
// none; complete is false if somebody could not be asked.
func (s *Server) ask(c call, kind, id string, enough func([]byte) bool) (answers [][]byte, complete bool) {
	if s.peers == nil {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(s.life, peerTime)
	defer cancel()
	asked, err := json.Marshal(question{ID: id, Alias: c.caller.Alias, Admin: c.caller.Admin})
	if err != nil {
		return nil, false
	}
	return s.peers.Ask(ctx, kind, asked, enough)
}

// askHolder asks for the one replica that holds an exchange. When none does, complete
// tells whether all were asked.
func (s *Server) askHolder(c call, kind, id string, into any) (held, complete bool) {
	answers, complete := s.ask(c, kind, id, func([]byte) bool { return true })
	return len(answers) > 0 && json.Unmarshal(answers[0], into) == nil, complete
}

// runningOf are the exchanges in flight here that a caller may see.
func (s *Server) runningOf(who *access.Caller) []runningView {
	views := []runningView{}
	for _, x := range s.running.all() {
		if !x.over() && who.MayManage(x.owner.Alias) {
			views = append(views, x.view())
		}
	}
	return views
}

// over tells whether the exchange has its ending.
func (x *exchange) over() bool {
	_, over := x.valve.ended()
	return over
}

// cancel ends an exchange because somebody asked for it, and returns the outcome that
// counts.
func (x *exchange) cancel() accounting.Outcome {
	x.shut(ending{outcome: accounting.OutcomeCancelled, code: translate.CodeCancelled})
	e, _ := x.valve.ended()
	return e.outcome
}
