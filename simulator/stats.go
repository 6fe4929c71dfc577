package simulator

import (
	"net/http"
	"sync"
	"time"
)

// keptRecords bounds Stats.Last.
const keptRecords = 50

// How an answer ended.
const (
	endedFinished = "finished"
	endedAborted  = "aborted"
)

// Stats counts the answers of /v1/chat/completions and /v1/completions whose
// generation began; refused requests are not among them.
type Stats struct {
	Started  int64    `json:"started"`
	Finished int64    `json:"finished"`
	Aborted  int64    `json:"aborted"` // the caller hung up, or the server was closed
	Last     []Record `json:"last"`    // the latest 50 that have ended, newest first
}

// Record is one answer that has ended.
type Record struct {
	ID         string `json:"id"`
	Model      string `json:"model"`
	ChunksSent int    `json:"chunks_sent"` // tokens generated until the end
	Of         int    `json:"of"`          // tokens the whole answer would have had
	Ended      string `json:"ended"`       // "finished" or "aborted"
	Millis     int64  `json:"ms"`
}

// journal keeps the stats.
type journal struct {
	mu   sync.Mutex
	data Stats
}

func (j *journal) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.data.Started++
}

func (j *journal) end(r Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Ended == endedAborted {
		j.data.Aborted++
	} else {
		j.data.Finished++
	}
	kept := j.data.Last
	j.data.Last = append([]Record{r}, kept[:min(len(kept), keptRecords-1)]...)
}

func (j *journal) stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.data
	s.Last = append([]Record{}, s.Last...)
	return s
}

func (s *Server) showStats(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, mustJSON(s.journal.stats()))
}

// ended writes the record of one answer and a log line if its caller hung up.
func (s *Server) ended(a *answer, begun time.Time, whole bool) {
	r := Record{
		ID: a.id, Model: a.model, ChunksSent: a.sent, Of: a.total,
		Ended: endedFinished, Millis: time.Since(begun).Milliseconds(),
	}
	if !whole {
		r.Ended = endedAborted
	}
	if !whole && !s.isClosed() {
		s.log.Info("caller hung up", "id", r.ID, "model", r.Model, "tokens_sent", r.ChunksSent, "of", r.Of, "ms", r.Millis)
	}
	s.journal.end(r)
}
