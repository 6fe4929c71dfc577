package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/accounting"
)

// recovery closes what a dead process has left open.
type recovery struct {
	books     *Books
	committer *committer
	complete  func(*accounting.Record)
	crashed   func(*accounting.Record)
}

// close keeps the record of a crash for every exchange that an instance has left open, and
// then forgets the instance. Several processes may do it at once: each exchange gets one
// record. It returns how many this process has made.
func (r *recovery) close(ctx context.Context, instance string) (made int, err error) {
	records, err := r.records(ctx, instance)
	if err != nil {
		return 0, fmt.Errorf("reading what a process has left: %w", err)
	}
	for len(records) > 0 {
		n := min(len(records), maxBatch)
		b := &batch{}
		for _, record := range records[:n] {
			b.entries = append(b.entries, &entry{kind: kindFinish, instance: instance, record: record, replayed: true, unsure: true})
		}
		if err := r.committer.write(b); err != nil {
			return made, fmt.Errorf("closing what a process has left: %w", err)
		}
		made += r.tell(b)
		records = records[n:]
	}
	// One that lives after all will say so again.
	if err := r.committer.write(&batch{over: [][]any{{instance}}}); err != nil {
		return made, fmt.Errorf("forgetting a process: %w", err)
	}
	return made, nil
}

// tell passes on the records that were new.
func (r *recovery) tell(b *batch) (made int) {
	for i, result := range b.results {
		if result.added {
			made++
			if r.crashed != nil {
				r.crashed(b.entries[i].record)
			}
		}
	}
	return made
}

// records are those of the exchanges that an instance has left open.
func (r *recovery) records(ctx context.Context, instance string) ([]*accounting.Record, error) {
	checkpoints, err := r.checkpoints(ctx, instance)
	if err != nil {
		return nil, err
	}
	intents, err := r.intents(ctx, instance)
	if err != nil {
		return nil, err
	}
	var records []*accounting.Record
	for len(intents) > 0 {
		n := 1
		for n < len(intents) && intents[n].UID == intents[0].UID {
			n++
		}
		record := crashRecord(intents[:n], checkpoints[intents[0].UID])
		if r.complete != nil {
			r.complete(record)
		}
		records = append(records, record)
		intents = intents[n:]
	}
	return records, nil
}

// intents are those of an instance, the calls of an exchange one behind the other.
func (r *recovery) intents(ctx context.Context, instance string) ([]*accounting.Intent, error) {
	rows, err := r.books.db.QueryContext(ctx, r.books.rebind("SELECT uid, attempt_id, intent FROM intents WHERE instance = ? ORDER BY uid"), instance)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var intents []*accounting.Intent
	for rows.Next() {
		var uid []byte
		var attempt, content string
		if err := rows.Scan(&uid, &attempt, &content); err != nil {
			return nil, err
		}
		intent := new(accounting.Intent)
		// A row that cannot be read still is a call that was made.
		_ = json.Unmarshal([]byte(content), intent)
		copy(intent.UID[:], uid)
		intent.AttemptID = cmp.Or(intent.AttemptID, attempt)
		intents = append(intents, intent)
	}
	return intents, rows.Err()
}

func (r *recovery) checkpoints(ctx context.Context, instance string) (map[accounting.UID]*checkpoint, error) {
	rows, err := r.books.db.QueryContext(ctx, r.books.rebind("SELECT taken_at, running FROM checkpoints WHERE instance = ?"), instance)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	found := make(map[accounting.UID]*checkpoint)
	for rows.Next() {
		var at int64
		var content string
		if err := rows.Scan(&at, &content); err != nil {
			return nil, err
		}
		var running []accounting.Checkpoint
		if json.Unmarshal([]byte(content), &running) != nil {
			continue // the intents tell less, but enough
		}
		for _, c := range running {
			found[c.UID] = &checkpoint{Checkpoint: c, at: fromMicros(at)}
		}
	}
	return found, rows.Err()
}
