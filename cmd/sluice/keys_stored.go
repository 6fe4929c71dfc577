package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
)

func (p *program) keysCreateCommand() *cobra.Command {
	var flags keyFlags
	cmd := &cobra.Command{
		Use:   "create --alias NAME",
		Short: "Make a key in the ledger's database",
		Long: `Make a key in the ledger's database, of which only the hash is kept: the key is
written this once. A sluice that runs knows it within seconds. With the first key, it
asks everybody for one.`,
		Example: `  sluice keys create --alias ops --admin
  sluice keys create --alias alice --model 'gpt-5*' --metadata team=blue --budget 25usd/month`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := flags.key()
			if err != nil {
				return err
			}
			settings, err := key.SettingsJSON()
			if err != nil {
				return err
			}
			secret, hash := access.NewKey()
			return p.changeKey(cmd.Context(), key.Alias, func(b *ledger.Books, cfg *config.Config) error {
				if _, err := b.CreateKey(cmd.Context(), ledger.StoredKey{Alias: key.Alias, SHA256: hash, Settings: settings}); err != nil {
					return err
				}
				if stored, err := b.Keys(cmd.Context()); err == nil && len(stored) == 1 && len(cfg.Keys) == 0 {
					_, _ = fmt.Fprintln(p.stderr, "sluice: this is the first key: from now on every request needs one")
				}
				return p.handOver(secret)
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// handOver writes a new key.
func (p *program) handOver(secret string) error {
	_, err := fmt.Fprintf(p.stdout, "%s\n\nThe key is not kept anywhere: hand it over now. A sluice that runs knows it within %s.\n",
		secret, config.Duration(access.DefaultRefresh))
	return err
}

func (p *program) keysRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate ALIAS",
		Short: "Replace the key of an alias",
		Long: `Replace the key of an alias. The new key is written this once. The old one is refused
within seconds; streams that it began go on.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, hash := access.NewKey()
			return p.changeKey(cmd.Context(), args[0], func(b *ledger.Books, _ *config.Config) error {
				if _, err := b.RotateKey(cmd.Context(), args[0], hash); err != nil {
					return err
				}
				return p.handOver(secret)
			})
		},
	}
}

// keysSwitchCommand disables or enables a key.
func (p *program) keysSwitchCommand(name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " ALIAS",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeKey(cmd.Context(), args[0], func(b *ledger.Books, _ *config.Config) error {
				if _, err := b.DisableKey(cmd.Context(), args[0], disabled); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s is %sd; a sluice that runs knows it within %s\n", args[0], name, config.Duration(access.DefaultRefresh))
				return err
			})
		},
	}
}

// changeKey changes a key in the database of the configuration.
func (p *program) changeKey(ctx context.Context, alias string, change func(*ledger.Books, *config.Config) error) error {
	cfg, err := p.load("")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(cfg.Keys, func(k config.Key) bool { return k.Alias == alias }) {
		return fmt.Errorf("%s is a key of the configuration: change it there", alias)
	}
	url, err := keysURL(cfg)
	if err != nil {
		return err
	}
	books, err := ledger.OpenBooks(ctx, url)
	if err != nil {
		return failure{err}
	}
	defer func() { _ = books.Close() }()
	switch err := change(books, cfg); {
	case errors.Is(err, ledger.ErrKeyExists):
		return fmt.Errorf("there is a key %s already; sluice keys rotate makes a new one for it", alias)
	case errors.Is(err, ledger.ErrNoKey):
		return fmt.Errorf("there is no key %s %s", alias, placeOf(url))
	case err != nil:
		return failure{err}
	}
	return nil
}

var errNoKeyStore = errors.New("this configuration keeps its ledger in memory, which has no place for keys: set ledger to a database, or put keys into the configuration")

// keysURL is the database of a configuration.
func keysURL(cfg *config.Config) (string, error) {
	url, err := cfg.LedgerURL()
	if err == nil && url == config.LedgerMemory {
		err = errNoKeyStore
	}
	return url, err
}

func (p *program) keysListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys of the configuration and of the ledger's database",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.listKeys(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one array of objects, with all settings")
	return cmd
}

func (p *program) listKeys(ctx context.Context, asJSON bool) error {
	cfg, err := p.load("")
	if err != nil {
		return err
	}
	stored, err := storedKeys(ctx, cfg)
	if err != nil {
		return failure{err}
	}
	views := access.Views(cfg.Keys, stored)
	if asJSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(views)
	}
	return p.writeKeys(views)
}

// storedKeys are the keys in the database of a configuration, none if there is no database.
func storedKeys(ctx context.Context, cfg *config.Config) ([]ledger.StoredKey, error) {
	url, err := keysURL(cfg)
	if err != nil {
		return nil, nil // those of the configuration are all there are
	}
	books, err := ledger.OpenToRead(ctx, url)
	switch {
	case errors.Is(err, ledger.ErrNoBooks):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer func() { _ = books.Close() }()
	return books.Keys(ctx)
}

// writeKeys writes a table.
func (p *program) writeKeys(views []access.View) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("ALIAS", "SOURCE", "STATE", "ROLE", "MODELS", "CREATED", "ROTATED")
	for _, v := range views {
		var settings struct {
			Admin  bool     `json:"admin"`
			Models []string `json:"models"`
		}
		_ = json.Unmarshal(v.Settings, &settings) // what cannot be read is in the state
		state, role, models := "enabled", "client", "all"
		switch {
		case v.DisabledAt != nil:
			state = "disabled"
		case !v.Enabled:
			state = "refused"
		}
		if settings.Admin {
			role = "admin"
		}
		if len(settings.Models) > 0 {
			models = strings.Join(settings.Models, ",")
		}
		row(v.Alias, v.Source, state, role, models, momentOf(v.CreatedAt), momentOf(v.RotatedAt))
	}
	return t.Flush()
}

// momentOf is a time for people, a dash for none.
func momentOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
