//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// books are the tables of the ledger, read past sluice.
type books struct{ db *sql.DB }

func openBooks(ledger string) (*books, error) {
	driver, source := "pgx", ledger
	if path, ok := strings.CutPrefix(ledger, "sqlite://"); ok {
		driver, source = "sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: "_pragma=busy_timeout(5000)&_pragma=query_only(1)"}).String()
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return &books{db}, nil
}

func (b *books) close() { _ = b.db.Close() }

// row is what the ledger has for an id.
type row struct {
	count    int
	outcome  string
	attempts int
}

// rows are those of all exchanges, by id.
func (b *books) rows(ctx context.Context) (map[string]row, error) {
	found, err := b.db.QueryContext(ctx, `SELECT e.id, e.outcome, (SELECT count(*) FROM attempts a WHERE a.uid = e.uid) FROM exchanges e`)
	if err != nil {
		return nil, fmt.Errorf("reading the exchanges: %w", err)
	}
	defer func() { _ = found.Close() }()
	out := make(map[string]row)
	for found.Next() {
		var id, outcome string
		var attempts int
		if err := found.Scan(&id, &outcome, &attempts); err != nil {
			return nil, fmt.Errorf("reading the exchanges: %w", err)
		}
		r := out[id]
		out[id] = row{count: r.count + 1, outcome: outcome, attempts: r.attempts + attempts}
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("reading the exchanges: %w", err)
	}
	return out, nil
}

// openIntents counts the calls that are neither running nor recorded.
func (b *books) openIntents(ctx context.Context) (int, error) {
	return b.count(ctx, `SELECT count(*) FROM intents`)
}

// orphans counts the attempts without an exchange.
func (b *books) orphans(ctx context.Context) (int, error) {
	return b.count(ctx, `SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM exchanges e WHERE e.uid = a.uid)`)
}

func (b *books) count(ctx context.Context, query string) (n int, err error) {
	if err := b.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting in the ledger: %w", err)
	}
	return n, nil
}

// usageByOutcome is what "sluice usage" says of the exchanges.
func usageByOutcome(ctx context.Context, r *child.Sluice) (map[string]int, error) {
	cmd := exec.CommandContext(ctx, r.Program, "usage", "--json", "--by", "outcome", "--config", r.Config)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running sluice usage: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	var groups []struct {
		Outcome   string `json:"outcome"`
		Exchanges int    `json:"exchanges"`
	}
	if err := json.Unmarshal(printed, &groups); err != nil {
		return nil, fmt.Errorf("reading what sluice usage printed: %w", err)
	}
	out := make(map[string]int)
	for _, g := range groups {
		out[g.Outcome] += g.Exchanges
	}
	return out, nil
}
