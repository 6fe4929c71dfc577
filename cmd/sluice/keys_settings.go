package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
)

// keyFlags are the settings of a key on the command line.
type keyFlags struct {
	alias           string
	admin, capture  bool
	models          []string
	metadata        []string
	onLedgerFailure string
	maxDuration     string
	budgets         []string
	limits          config.Quota
}

func (f *keyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.alias, "alias", "", "name of the key in logs, records and labels")
	_ = cmd.MarkFlagRequired("alias")
	flags.BoolVar(&f.admin, "admin", false, "may see and cancel the requests of other keys, and manage keys")
	flags.StringArrayVar(&f.models, "model", nil, "model that the key may ask for, * for any run of characters; may be repeated (default: all)")
	flags.StringArrayVar(&f.metadata, "metadata", nil, "note that its records keep, as team=blue; may be repeated")
	flags.BoolVar(&f.capture, "capture", false, "keep the prompts and answers of the key")
	flags.StringVar(&f.onLedgerFailure, "on-ledger-failure", "", "refuse or allow (default: that of the configuration)")
	flags.IntVar(&f.limits.RequestsPerMinute, "requests-per-minute", 0, "limit; 0 for none, as with the next ones")
	flags.IntVar(&f.limits.TokensPerMinute, "tokens-per-minute", 0, "limit of input and output tokens")
	flags.IntVar(&f.limits.Streams, "streams", 0, "limit of requests at the same time")
	flags.IntVar(&f.limits.MaxOutputTokens, "max-output-tokens", 0, "limit of the output of one request")
	flags.StringVar(&f.maxDuration, "max-duration", "", "limit of the time of one request, as 10m")
	flags.StringArrayVar(&f.budgets, "budget", nil, "hard budget, as 25usd/month or 1000000tokens/day; may be repeated")
}

// key is the key that the flags describe, without a hash.
func (f *keyFlags) key() (config.Key, error) {
	key := config.Key{
		Alias: f.alias, Admin: f.admin, Models: f.models, Capture: f.capture,
		OnLedgerFailure: f.onLedgerFailure, Limits: f.limits,
	}
	key.Limits.Fail = config.FailOpen
	for _, note := range f.metadata {
		name, value, ok := strings.Cut(note, "=")
		if !ok {
			return key, fmt.Errorf("--metadata: %q is not name=value", note)
		}
		if key.Metadata == nil {
			key.Metadata = map[string]string{}
		}
		key.Metadata[name] = value
	}
	if f.maxDuration != "" {
		d, err := config.ParseDuration(f.maxDuration)
		if err != nil {
			return key, fmt.Errorf("--max-duration: %q %w", f.maxDuration, err)
		}
		key.Limits.MaxDuration = d
	}
	for _, text := range f.budgets {
		b, err := parseBudget(text)
		if err != nil {
			return key, err
		}
		key.Limits.Budgets = append(key.Limits.Budgets, b)
	}
	return key, validKey(key)
}

// parseBudget reads a hard budget as 25usd/month or 1000000tokens/day.
func parseBudget(text string) (config.Budget, error) {
	wrong := fmt.Errorf("--budget: %q is not a budget; write it as 25usd/month or 1000000tokens/day", text)
	amount, period, ok := strings.Cut(text, "/")
	if !ok {
		return config.Budget{}, wrong
	}
	b := config.Budget{Per: period, Hard: true}
	if usd, ok := strings.CutSuffix(amount, "usd"); ok {
		rate, err := config.ParseRate(usd)
		if err != nil {
			return b, fmt.Errorf("--budget: %q %w", usd, err)
		}
		b.USD = rate
		return b, nil
	}
	tokens, ok := strings.CutSuffix(amount, "tokens")
	if !ok {
		return b, wrong
	}
	var err error
	if b.Tokens, err = strconv.Atoi(tokens); err != nil {
		return b, wrong
	}
	return b, nil
}
