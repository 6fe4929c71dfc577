package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

// usageFlags are what sluice usage was asked.
type usageFlags struct {
	by                                []string
	since, until                      string
	keys, models, providers, outcomes []string
	json, csv                         bool
}

func (p *program) usageCommand() *cobra.Command {
	var flags usageFlags
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Show what was used and what it cost",
		Long: `Show what was used and what it cost, from the books that the configuration names.
It may run beside sluice, which does not notice. It makes and changes nothing.

--by takes day, key, model, provider, outcome and usage_source, in any order and
several at once; --by= gives one row of sums. --since is included and --until is
not. Both take a time (2026-01-31T09:00:00Z), a day, which begins at midnight UTC
(2026-01-31), or a span back from now (24h, 7d). Whole days in UTC are answered
from sums that are kept for ever; parts of days from the records that are left,
with a note if some of them are gone.

An exchange is counted once, at the provider whose answer the client got. What other
attempts of it have used, that failed over or lost a race, is in the rows of their own
providers; ABANDONED counts them, and OF IT ABANDONED is what of the cost is theirs.

A cost is in USD. Where the provider may charge less or more for answers that were
cut, MAY BE says how much; + marks sums that lack what has no known price.
--json writes one array of objects and --csv a header and rows, with costs in units
of 1e-9 USD.

Without books, because no sluice has served yet with this configuration, the exit
code is 1, and --json and --csv write the same as for books without exchanges.`,
		Example: `  sluice usage --since 7d
  sluice usage --by day,outcome --key alice --since 2026-01-01 --until 2026-02-01
  sluice usage --by outcome --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.usage(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&flags.by, "by", []string{"key", "model", "provider"}, "what to group by")
	f.StringVar(&flags.since, "since", "", "first moment of the time to look at (default: the beginning)")
	f.StringVar(&flags.until, "until", "", "first moment after it (default: now)")
	f.StringArrayVar(&flags.keys, "key", nil, "only this key; may be repeated, as the next ones")
	f.StringArrayVar(&flags.models, "model", nil, "only this model, by the name that clients ask for")
	f.StringArrayVar(&flags.providers, "provider", nil, "only this provider")
	f.StringArrayVar(&flags.outcomes, "outcome", nil, "only this outcome")
	f.BoolVar(&flags.json, "json", false, "write JSON")
	f.BoolVar(&flags.csv, "csv", false, "write CSV")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

// query is what the flags ask for.
func (f *usageFlags) query(now time.Time) (ledger.Query, error) {
	q := ledger.Query{Keys: f.keys, Models: f.models, Providers: f.providers, Outcomes: f.outcomes}
	for _, name := range f.by {
		d, err := ledger.ParseDimension(strings.TrimSpace(name))
		if err != nil {
			return q, fmt.Errorf("--by: %w", err)
		}
		q.By = append(q.By, d)
	}
	for _, name := range f.outcomes {
		if !accounting.Outcome(name).Valid() {
			return q, fmt.Errorf("--outcome: %q is not one of %s", name, outcomeNames())
		}
	}
	for _, moment := range []struct {
		flag, text string
		into       *time.Time
	}{{"--since", f.since, &q.Since}, {"--until", f.until, &q.Until}} {
		if moment.text == "" {
			continue
		}
		t, err := ledger.ParseMoment(moment.text, now)
		if err != nil {
			return q, fmt.Errorf("%s: %q %w", moment.flag, moment.text, err)
		}
		*moment.into = t
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, errors.New("--until must be later than --since")
	}
	return q, nil
}

func outcomeNames() string {
	var names []string
	for _, o := range accounting.Outcomes() {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

func (p *program) usage(ctx context.Context, flags usageFlags) error {
	q, err := flags.query(time.Now())
	if err != nil {
		return err
	}
	cfg, err := p.load("")
	if err != nil {
		return err
	}
	page, err := readUsage(ctx, cfg, q)
	switch {
	case errors.Is(err, ledger.ErrNoBooks) && (flags.json || flags.csv):
		return errors.Join(err, p.writeUsage(flags, q.By, ledger.Page{}))
	case errors.Is(err, errNoLedger), errors.Is(err, ledger.ErrNoBooks), errors.Is(err, ledger.ErrBadQuery):
		return err
	case err != nil:
		return failure{err}
	}
	if len(page.Incomplete) > 0 {
		_, _ = fmt.Fprintf(p.stderr, "sluice: only a part of %s was asked for, and not all of its records are left: the numbers may lack some\n",
			strings.Join(page.Incomplete, " and "))
	}
	return p.writeUsage(flags, q.By, page)
}

// errNoLedger means that the configuration keeps no books.
var errNoLedger = errors.New("this configuration keeps its ledger in memory, which ends with the process: there are no books to read")

// readUsage asks the books of a configuration.
func readUsage(ctx context.Context, cfg *config.Config, q ledger.Query) (ledger.Page, error) {
	url, err := cfg.LedgerURL()
	if err != nil {
		return ledger.Page{}, fmt.Errorf("%w: %w", errNoLedger, err)
	}
	if url == config.LedgerMemory {
		return ledger.Page{}, errNoLedger
	}
	books, err := ledger.OpenToRead(ctx, url)
	if errors.Is(err, ledger.ErrNoBooks) {
		return ledger.Page{}, fmt.Errorf("%w %s: sluice makes them when it first serves with this configuration", err, placeOf(url))
	}
	if err != nil {
		return ledger.Page{}, err
	}
	defer func() { _ = books.Close() }()
	return books.Usage(ctx, q)
}

// placeOf says where books are, without what is secret in their URL.
func placeOf(url string) string {
	engine, where, err := ledger.ParseURL(url)
	if err != nil || engine != ledger.SQLite {
		return "in the database"
	}
	return "at " + where
}

func (p *program) writeUsage(flags usageFlags, by []ledger.Dimension, page ledger.Page) error {
	switch {
	case flags.json:
		return writeUsageJSON(p.stdout, page.Rows)
	case flags.csv:
		return writeUsageCSV(p.stdout, by, page.Rows)
	}
	return writeUsageTable(p.stdout, by, page.Rows)
}
