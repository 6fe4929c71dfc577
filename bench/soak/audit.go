//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// books are the tables of the ledger, read past sluice.
type books struct{ db *sql.DB }

func openBooks(path string) (*books, error) {
	source := url.URL{Scheme: "file", Opaque: path, RawQuery: "_pragma=busy_timeout(5000)&_pragma=query_only(1)"}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return &books{db}, nil
}

func (b *books) close() { _ = b.db.Close() }

// intents counts the calls that are neither running nor recorded.
func (b *books) intents(ctx context.Context) (n int, err error) {
	if err := b.db.QueryRowContext(ctx, `SELECT count(*) FROM intents`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the intents: %w", err)
	}
	return n, nil
}

// row is what the ledger has of a request.
type row struct {
	count     int
	outcome   string
	code      string
	delivered bool
	attempts  []attempt
}

// attempt is what it has of an upstream call.
type attempt struct{ provider, phase, outcome, code string }

// rows are those of all requests.
func (b *books) rows(ctx context.Context) (map[string]*row, error) {
	found, err := b.db.QueryContext(ctx, `SELECT e.id, hex(e.uid), e.outcome, e.code, e.delivered FROM exchanges e`)
	if err != nil {
		return nil, fmt.Errorf("reading the exchanges: %w", err)
	}
	defer func() { _ = found.Close() }()
	byID, byUID := map[string]*row{}, map[string]*row{}
	for found.Next() {
		var id, uid string
		r := &row{}
		if err := found.Scan(&id, &uid, &r.outcome, &r.code, &r.delivered); err != nil {
			return nil, fmt.Errorf("reading the exchanges: %w", err)
		}
		r.count = 1
		if other := byID[id]; other != nil {
			r.count += other.count
		}
		byID[id], byUID[uid] = r, r
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("reading the exchanges: %w", err)
	}
	return byID, b.addAttempts(ctx, byUID)
}

func (b *books) addAttempts(ctx context.Context, to map[string]*row) error {
	found, err := b.db.QueryContext(ctx, `SELECT hex(uid), provider, phase, outcome, code FROM attempts ORDER BY uid, n`)
	if err != nil {
		return fmt.Errorf("reading the attempts: %w", err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var uid string
		var a attempt
		if err := found.Scan(&uid, &a.provider, &a.phase, &a.outcome, &a.code); err != nil {
			return fmt.Errorf("reading the attempts: %w", err)
		}
		r := to[uid]
		if r == nil {
			return fmt.Errorf("reading the attempts: one of %s without an exchange", uid)
		}
		r.attempts = append(r.attempts, a)
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("reading the attempts: %w", err)
	}
	return nil
}

// unexplained is a kind of what cannot be explained.
type unexplained int

// The kinds, as the figures count them.
const (
	noRow unexplained = iota
	twoRows
	noAttempt
	attemptTooMany
	foreignBytes
	wrongAnswer
	answerOtherThanRow
	outcomeWithoutReason
	failureWithoutReason
	cancelOtherThanRow
	kinds
)

var kindNames = [kinds]string{
	"exchanges without a row", "rows too many for an id", "upstream calls without an attempt", "attempts that no upstream saw",
	"answers with foreign bytes", "answers that no client can use", "answers other than their row",
	"outcomes without a reason", "failures without a reason", "cancels other than their row",
}

// explain finds everything about a request that nothing it went through explains.
func (s *story) explain(r *row, wrong func(kind unexplained, format string, args ...any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view.foreign != "" {
		wrong(foreignBytes, "%s", s.view.foreign)
	}
	if s.view.wrong != "" {
		wrong(wrongAnswer, "%s", s.view.wrong)
	}
	s.explainView(wrong)
	if r == nil {
		s.explainNoRow(wrong)
		return
	}
	if r.count > 1 {
		wrong(twoRows, "%d rows", r.count)
	}
	s.explainOutcome(r, wrong)
	s.explainAttempts(r, wrong)
	switch {
	case s.cancelled == "failed":
		wrong(cancelOtherThanRow, "the cancel call failed")
	case s.cancelled != "" && s.cancelled != r.outcome:
		wrong(cancelOtherThanRow, "the cancel call said %s, the row says %s", s.cancelled, r.outcome)
	}
}

// refusals are the codes with which sluice itself refuses a request of a limited key.
var refusals = []string{"rate_limit_exceeded", "too_many_streams"}

func (s *story) refused() bool {
	return s.view.saw == sawStatus && s.view.status == 429 && s.key.limited && slices.Contains(refusals, s.view.code)
}

// explainView looks for a reason for what the client saw.
func (s *story) explainView(wrong func(unexplained, string, ...any)) {
	switch s.view.saw {
	case sawWhole, sawNothing:
		if s.view.saw == sawNothing && !s.view.left && s.view.wrong == "" {
			wrong(failureWithoutReason, "no answer")
		}
	case sawCancelled:
		if s.cancelAfter == 0 {
			wrong(failureWithoutReason, "cancelled by nobody")
		}
	case sawWrong:
		if !s.suffers() {
			wrong(failureWithoutReason, "%v", s.view.saw)
		}
	case sawCut:
		wrong(failureWithoutReason, "an answer that ends without a word")
	case sawStatus, sawError:
		if !s.suffers() && !unsteady(s.model) && !s.refused() {
			wrong(failureWithoutReason, "%v, %d %s", s.view.saw, s.view.status, s.view.code)
		}
	}
}

// explainNoRow looks for a reason why there is no row.
func (s *story) explainNoRow(wrong func(unexplained, string, ...any)) {
	nobodyThere := unsteady(s.model) && s.view.status == http.StatusServiceUnavailable
	if explained := s.view.left || s.refused() || nobodyThere; len(s.calls) > 0 || !explained {
		wrong(noRow, "%d calls, and the client saw %v, %d %s", len(s.calls), s.view.saw, s.view.status, s.view.code)
	}
}

// explainOutcome looks for a reason for the outcome in the row, and whether it is what the
// client saw.
func (s *story) explainOutcome(r *row, wrong func(unexplained, string, ...any)) {
	explained := false
	switch r.outcome {
	case outcomeCompleted:
		explained = s.view.saw == sawWhole || s.view.saw == sawWrong || s.view.left
	case outcomeGone:
		explained = s.view.left && s.view.saw != sawWhole
	case outcomeCancelled:
		explained = s.cancelAfter > 0
	case outcomeError, outcomeTruncated, outcomeTimeout:
		explained = s.suffered(r.outcome) || unsteady(s.model)
	}
	if !explained {
		wrong(outcomeWithoutReason, "%s %s, where the client saw %v", r.outcome, r.code, s.view.saw)
	}
	same := true
	switch s.view.saw {
	case sawWhole:
		// A cancel may come when the last word has gone out and the end has not.
		same = r.outcome == outcomeCompleted && (r.delivered || s.view.left) || r.outcome == outcomeCancelled && s.cancelled == outcomeCancelled
	case sawCancelled:
		same = r.outcome == outcomeCancelled
	case sawStatus, sawError:
		same = r.outcome != outcomeCompleted
	case sawNothing, sawCut, sawWrong:
	}
	if !same {
		wrong(answerOtherThanRow, "the client saw %v, the row says %s, delivered: %t", s.view.saw, r.outcome, r.delivered)
	}
}

// explainAttempts holds the attempts against the calls. An attempt that was ended, or that
// did not get through, may not have been seen by the upstream.
func (s *story) explainAttempts(r *row, wrong func(unexplained, string, ...any)) {
	if len(s.calls) > len(r.attempts) {
		wrong(noAttempt, "%d calls, %d attempts", len(s.calls), len(r.attempts))
	}
	unseen := len(r.attempts) - len(s.calls)
	for _, a := range r.attempts {
		if a.provider == providerGone || a.provider == providerFlap || a.outcome == outcomeGone || a.outcome == outcomeCancelled {
			unseen--
		}
	}
	if unseen > 0 {
		wrong(attemptTooMany, "%d calls, attempts: %+v", len(s.calls), r.attempts)
	}
}
