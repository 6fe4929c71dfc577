package ledger

import (
	"bytes"
	"slices"

	"github.com/sluicehq/sluice/accounting"
)

// batch is what is written in one transaction. The entries are only read: whoever gave
// them may give up waiting and read them too.
type batch struct {
	entries    []*entry
	again      bool     // the entries may be in the books already
	checkpoint []any    // a row of checkpoints; nil when there is none to write
	captures   [][]any  // rows of captures
	alive      [][]any  // rows of instances
	over       [][]any  // names of instances of which nothing may be left
	left       [][]any  // names of instances that have ended
	results    []result // of each entry

	intents, finished [][]any
	withdrawn, closed [][]any                // keys of intents that are to go
	finishes          map[accounting.UID]int // the first one of each exchange
	amends            map[accounting.UID]int // the last one of each exchange
}

// result is what came of an entry.
type result struct {
	err   error
	added bool // the exchange had no record before
}

// empty reports that there is nothing to write.
func (b *batch) empty() bool {
	return len(b.entries) == 0 && b.checkpoint == nil && len(b.captures)+len(b.alive)+len(b.over)+len(b.left) == 0
}

// replayed reports that what is to be done once may have been done already, which is no
// mistake then.
func (b *batch) replayed(i int) bool { return b.again || b.entries[i].replayed }

// prepare makes the rows, before a transaction is open.
func (b *batch) prepare() {
	b.finishes, b.amends = make(map[accounting.UID]int), make(map[accounting.UID]int)
	b.intents, b.finished, b.withdrawn, b.closed = nil, nil, nil, nil
	b.results = make([]result, len(b.entries))
	for i, e := range b.entries {
		switch e.kind {
		case kindFinish:
			b.results[i].err = b.addFinish(i)
		case kindAmend:
			b.amends[e.uid()] = i
		case kindWithdraw:
			b.withdrawn = append(b.withdrawn, []any{e.intent.UID[:], name(e.intent.AttemptID)})
		case kindIntent:
		}
	}
	sortByUID(b.finished)
	for i, e := range b.entries {
		if _, ended := b.finishes[e.uid()]; e.kind == kindIntent && !ended {
			row, err := intentRow(e)
			if err != nil {
				b.results[i].err = err
				continue
			}
			b.intents = append(b.intents, row)
		}
	}
}

func (b *batch) addFinish(i int) error {
	e := b.entries[i]
	if _, twice := b.finishes[e.uid()]; twice {
		if e.replayed {
			return nil
		}
		return accounting.ErrAlreadyFinished
	}
	row, err := exchangeRow(e.record, e.instance)
	if err != nil {
		return err
	}
	b.finishes[e.uid()] = i
	b.finished = append(b.finished, row)
	if e.unsure {
		b.closed = append(b.closed, []any{e.record.UID[:]})
	}
	return nil
}

// apply writes everything and notes what comes of each entry.
func (b *batch) apply(tx transaction) error {
	if err := tx.write(insertIntents, b.intents); err != nil {
		return err
	}
	err := tx.query(insertExchange, b.finished, func(row scanner) error {
		var uid []byte
		if err := row.Scan(&uid); err != nil {
			return err
		}
		b.results[b.finishes[accounting.UID(uid)]].added = true
		return nil
	})
	if err != nil {
		return err
	}
	changed := make(changes)
	var calls [][]any
	for _, i := range b.finishes {
		if r := b.entries[i].record; b.results[i].added {
			changed.add(r)
			calls = append(calls, attemptRows(r)...)
		}
	}
	if err := tx.write(insertAttempts, calls); err != nil {
		return err
	}
	if err := b.replace(tx, changed); err != nil {
		return err
	}
	return b.applyRest(tx, changed)
}

// replace puts records in the place of others: of crashes that were none, and of records
// that are amended, which the transaction may have brought itself.
func (b *batch) replace(tx transaction, changed changes) error {
	mistaken := make(map[accounting.UID]int)
	for uid, i := range b.finishes {
		if b.results[i].added {
			continue
		}
		if b.entries[i].record.Outcome != accounting.OutcomeCrash {
			mistaken[uid] = i
		}
		if !b.replayed(i) {
			b.results[i].err = accounting.ErrAlreadyFinished
		}
	}
	if err := b.replaceWhere(tx, deleteCrash, mistaken, changed); err != nil {
		return err
	}
	for _, i := range b.amends {
		b.results[i].err = ErrNoRecord
	}
	if err := b.replaceWhere(tx, deleteExchange, b.amends, changed); err != nil {
		return err
	}
	return b.insertEarly(tx, changed)
}

// insertEarly keeps the records of the spool that were to replace others which are not
// there: the spool has those too, and they come too late then.
func (b *batch) insertEarly(tx transaction, changed changes) error {
	var rows, calls [][]any
	for _, i := range b.amends {
		e := b.entries[i]
		if b.results[i].err == nil || !e.replayed {
			continue
		}
		row, err := exchangeRow(e.record, e.instance)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	err := tx.query(insertExchange, rows, func(row scanner) error {
		var uid []byte
		if err := row.Scan(&uid); err != nil {
			return err
		}
		i := b.amends[accounting.UID(uid)]
		b.results[i].err = nil
		changed.add(b.entries[i].record)
		calls = append(calls, attemptRows(b.entries[i].record)...)
		b.closed = append(b.closed, []any{bytes.Clone(uid)})
		return nil
	})
	if err != nil {
		return err
	}
	return tx.write(insertAttempts, calls)
}

// replaceWhere removes records with a command and puts those of the entries in the place
// of the ones that were there.
func (b *batch) replaceWhere(tx transaction, remove *command, entries map[accounting.UID]int, changed changes) error {
	gone, err := removeExchanges(tx, remove, keysOf(entries), changed)
	if err != nil {
		return err
	}
	var rows, calls [][]any
	for _, uid := range gone {
		i := entries[uid]
		e := b.entries[i]
		row, err := exchangeRow(e.record, e.instance)
		if err != nil {
			return err
		}
		b.results[i].err = nil
		changed.add(e.record)
		rows = append(rows, row)
		calls = append(calls, attemptRows(e.record)...)
	}
	if err := tx.query(insertExchange, rows, func(scanner) error { return nil }); err != nil {
		return err
	}
	return tx.write(insertAttempts, calls)
}

// removeExchanges removes exchanges with a command, their calls, and what both had added to
// the sums. It returns those that were there.
func removeExchanges(tx transaction, remove *command, keys [][]any, changed changes) (gone []accounting.UID, err error) {
	groups := make(map[accounting.UID]group)
	err = tx.query(remove, keys, func(row scanner) error {
		uid, g, t, err := scanSums(row)
		if err != nil {
			return err
		}
		changed.count(g, t, -1)
		groups[uid] = g
		gone = append(gone, uid)
		return nil
	})
	if err != nil {
		return nil, err
	}
	keys = make([][]any, len(gone))
	for i := range gone {
		keys[i] = []any{gone[i][:]}
	}
	return gone, tx.query(deleteAttempts, keys, func(row scanner) error {
		key, a, err := scanAttempt(row)
		if err != nil {
			return err
		}
		if a.Abandoned() {
			g, t := abandonedTotals(groups[key.uid], &a)
			changed.count(g, t, -1)
		}
		return nil
	})
}

// keysOf are the names of exchanges.
func keysOf(entries map[accounting.UID]int) [][]any {
	keys := make([][]any, 0, len(entries))
	for uid := range entries {
		keys = append(keys, []any{bytes.Clone(uid[:])})
	}
	sortByUID(keys)
	return keys
}

// sortByUID puts rows in the order of their first column, so that two replicas that write
// the same ones do not wait for each other in a circle.
func sortByUID(rows [][]any) {
	slices.SortFunc(rows, func(a, b []any) int { return bytes.Compare(a[0].([]byte), b[0].([]byte)) })
}

// applyRest writes what nobody waits for within the transaction. The sums come last: other
// replicas wait for them until the commit.
func (b *batch) applyRest(tx transaction, changed changes) error {
	type step struct {
		command *command
		rows    [][]any
	}
	var checkpoint [][]any
	if b.checkpoint != nil {
		checkpoint = [][]any{b.checkpoint}
	}
	for _, s := range []step{
		{deleteIntents, b.closed},
		{deleteIntent, b.withdrawn},
		{upsertCheckpoint, checkpoint},
		{insertCaptures, b.captures},
		{upsertInstance, b.alive},
		{deleteInstance, b.left},
		{forgetCheckpoint, b.over},
		{forgetInstance, b.over},
		{dailyUpsert, changed.rows()},
		{dailyPrune, changed.shrunk()},
	} {
		if err := tx.write(s.command, s.rows); err != nil {
			return err
		}
	}
	return nil
}
