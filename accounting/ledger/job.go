package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger/spool"
)

const (
	// maxBatch bounds the entries of one transaction.
	maxBatch = 512
	// maxBatchCaptured bounds the bytes of prompts and answers in one transaction: what
	// else is in it must not wait for long.
	maxBatchCaptured = 1 << 20
)

// errRefused is what an entry comes to that the database refuses for what it is.
var errRefused = errors.New("the ledger's database refuses the entry")

// job is one thing that the committer does.
type job struct {
	batch
	began time.Time
	// running is to be kept as the checkpoint, if has is true.
	running []accounting.Checkpoint
	has     bool
	// captured are the prompts and answers to keep.
	captured []Capture

	// replay says that the entries come from the spool: from a file of it, or else from
	// memory up to the number upTo.
	replay  bool
	segment *replaying
	upTo    uint64
	ended   bool // the segment is at its end
	probe   bool // there is nothing to replay; it is only asked whether the database works

	// abandoned says that nobody waits for the job any more: it took too long, and its
	// entries went to the spool.
	abandoned bool
	failure   error
}

// replaying is a file of the spool that is being read.
type replaying struct {
	spool   *spool.Spool
	segment *spool.Segment
	reader  *spool.Reader
}

// committer owns the connection that writes and does one job after the other. It may be
// stuck in one for as long as the disk is.
type committer struct {
	store    store
	instance string
	timeout  time.Duration
	metrics  *metrics
	refuse   func(e *entry, err error) // told what the database refuses
	closed   error                     // what came of the end, when did is closed
}

// run does jobs until there are no more, and lets go of the connection.
func (c *committer) run(jobs <-chan *job, did chan<- *job) {
	for j := range jobs {
		j.failure = c.do(j)
		did <- j
	}
	c.closed = c.store.close()
	close(did)
}

func (c *committer) do(j *job) error {
	if j.segment != nil {
		if err := j.segment.read(j); err != nil {
			return err
		}
	}
	if err := c.fill(j); err != nil {
		return err
	}
	if j.empty() {
		return nil
	}
	return c.write(&j.batch)
}

// fill makes the rows that are not of entries.
func (c *committer) fill(j *job) error {
	now := time.Now()
	if j.has {
		running, err := json.Marshal(j.running)
		if err != nil {
			return err
		}
		j.checkpoint = []any{c.instance, micros(now), text(string(running))}
	}
	if j.probe {
		j.alive = [][]any{{c.instance}}
	}
	for i := range j.captured {
		j.captures = append(j.captures, j.captured[i].row(now))
	}
	return nil
}

// write keeps a batch. A database that fails is asked once more, with another connection:
// it may have been started anew meanwhile.
func (c *committer) write(b *batch) error {
	began := time.Now()
	err := c.transact(b)
	if err != nil && !isContent(err) && time.Since(began) < c.timeout/2 {
		b.again = !isRolledBack(err)
		err = c.transact(b)
	}
	if err != nil && isContent(err) {
		return c.writeApart(b)
	}
	return err
}

// writeApart keeps the entries of a batch one by one, because the database refuses one of
// them, which is not to be in the way of the others.
func (c *committer) writeApart(b *batch) error {
	results := make([]result, len(b.entries))
	for i, e := range b.entries {
		one := &batch{entries: []*entry{e}, again: b.again}
		err := c.transact(one)
		if err != nil && !isContent(err) {
			return err
		}
		results[i] = one.results[0]
		if err != nil {
			c.refuse(e, err)
			results[i].err = errRefused
		}
	}
	b.results = results
	if b.checkpoint != nil {
		if err := c.transact(&batch{checkpoint: b.checkpoint}); err != nil && !isContent(err) {
			return err
		}
	}
	return nil
}

func (c *committer) transact(b *batch) error {
	b.prepare()
	ctx, cancel := context.WithTimeout(background, c.timeout)
	defer cancel()
	began := time.Now()
	err := c.store.transact(ctx, b.apply)
	c.metrics.committed(began, len(b.entries), err)
	return err
}

// read takes the next entries of the file. Those that are none are left out: they were
// written by another version, and would be none the next time either.
func (r *replaying) read(j *job) error {
	if r.reader == nil {
		reader, err := r.segment.Open()
		if err != nil {
			return err
		}
		r.reader = reader
	}
	for len(j.entries) < maxBatch {
		payload, err := r.reader.Next()
		if errors.Is(err, io.EOF) {
			j.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		if e, err := decodeEntry(payload); err == nil {
			j.entries = append(j.entries, e)
		}
	}
	return nil
}

// rewind begins the file again at the next read.
func (r *replaying) rewind() {
	if r.reader != nil {
		_ = r.reader.Close()
		r.reader = nil
	}
}
