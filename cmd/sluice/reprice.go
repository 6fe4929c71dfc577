package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/accounting/prices"
	"github.com/sluicehq/sluice/config"
)

func (p *program) repriceCommand() *cobra.Command {
	var since, until string
	var dry bool
	cmd := &cobra.Command{
		Use:   "reprice",
		Short: "Give old exchanges the prices of the configuration",
		Long: `Work out again what the exchanges in the ledger cost, with the prices of the
configuration as they are now, and correct their costs and the sums of the days. It
may be done beside a running sluice, and again after an interruption. What was asked
of providers that are not configured any more keeps its cost.

--since and --until bound when the exchanges began: a time as 2006-01-02T15:04:05Z,
a day as 2006-01-02, or a span back from now as 24h or 7d. Without them all are
worked out. --dry-run changes nothing and tells what would.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load("")
			if err != nil {
				return err
			}
			known, err := pricer.New(cfg, nil)
			if err != nil {
				return err
			}
			r := repricing{prices: known, dry: dry}
			if r.since, err = moment("--since", since); err != nil {
				return err
			}
			if r.until, err = moment("--until", until); err != nil {
				return err
			}
			if !r.since.IsZero() && !r.until.IsZero() && !r.since.Before(r.until) {
				return errors.New("--until must be later than --since")
			}
			err = r.run(cmd.Context(), cfg, p.stdout)
			if err == nil || errors.Is(err, errNoLedger) || errors.Is(err, ledger.ErrNoBooks) {
				return err
			}
			return failure{err}
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "exchanges that began at this time or later")
	cmd.Flags().StringVar(&until, "until", "", "exchanges that began before this time")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only tell what would change")
	return cmd
}

// moment reads a flag that may be left out.
func moment(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := ledger.ParseMoment(value, time.Now())
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %q %w", flag, value, err)
	}
	return at, nil
}

// repricing is one run of the command.
type repricing struct {
	prices       *pricer.Pricer
	since, until time.Time
	dry          bool

	// What a dry run has found.
	changed       int64
	before, after total
}

// total is a sum of costs, and how many exchanges and abandoned attempts are not in it.
type total struct{ nano, unpriced, unpricedAttempts int64 }

// add adds what a record and its abandoned attempts cost.
func (t *total) add(r *accounting.Record) {
	t.addCost(r.CostNanoUSD, &t.unpriced)
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() {
			t.addCost(a.CostNanoUSD, &t.unpricedAttempts)
		}
	}
}

func (t *total) addCost(cost, unpriced *int64) {
	if cost == nil {
		*unpriced++
		return
	}
	t.nano += *cost
}

func (r *repricing) run(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	url, err := cfg.LedgerURL()
	if err != nil {
		return err
	}
	if url == config.LedgerMemory {
		return errNoLedger
	}
	books, err := openExisting(ctx, url)
	if errors.Is(err, ledger.ErrNoBooks) {
		return fmt.Errorf("%w %s", err, placeOf(url))
	}
	if err != nil {
		return err
	}
	defer func() { _ = books.Close() }()
	if !r.dry {
		done, err := books.Reprice(ctx, r.since, r.until, func(record *accounting.Record) { r.prices.Reprice(record) })
		_, _ = fmt.Fprintf(stdout, "%s looked at, %s given another cost\n", plural(done.Rows, "exchange"), thousands(done.Changed))
		return err
	}
	done, err := books.Reprice(ctx, r.since, r.until, r.look)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s looked at, %s would be given another cost\nnow:  %s\nthen: %s\n",
		plural(done.Rows, "exchange"), thousands(r.changed), r.before, r.after)
	return err
}

// look prices a copy of a record, so that nothing is written.
func (r *repricing) look(record *accounting.Record) {
	again := *record
	again.Attempts = slices.Clone(record.Attempts)
	if r.prices.Reprice(&again) {
		r.changed++
	}
	r.before.add(record)
	r.after.add(&again)
}

// String returns the sum in USD.
func (t total) String() string {
	text := prices.Rate(t.nano).String() + " USD"
	var without []string
	if t.unpriced > 0 {
		without = append(without, plural(t.unpriced, "exchange"))
	}
	if t.unpricedAttempts > 0 {
		without = append(without, plural(t.unpricedAttempts, "abandoned attempt"))
	}
	if len(without) > 0 {
		text += ", and " + strings.Join(without, " and ") + " without a price"
	}
	return text
}

// openExisting opens books that are there already: a command that corrects costs makes
// none.
func openExisting(ctx context.Context, url string) (*ledger.Books, error) {
	there, err := ledger.OpenToRead(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := there.Close(); err != nil {
		return nil, fmt.Errorf("closing the ledger: %w", err)
	}
	return ledger.OpenBooks(ctx, url)
}
