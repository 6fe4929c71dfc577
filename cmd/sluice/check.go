package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
)

func (p *program) checkCommand() *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Aliases: []string{"validate"},
		Short:   "Check the configuration and show what it means",
		Long: `Check the configuration that sluice would use, or FILE; - reads standard input.
Every problem is written with its line, and the exit code is 1. Without problems
the digest, the listeners, the final URL of every provider, the models and where
records are kept are written. Nothing is contacted. What is allowed but seldom meant
is a warning, and no problem.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.check(strings.Join(args, ""), show)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "also write the whole configuration, defaults included and secrets masked")
	return cmd
}

func (p *program) check(path string, show bool) error {
	cfg, err := p.load(path)
	if err != nil {
		return err
	}
	name := p.source(path)
	switch name {
	case "":
		name = "no file"
	case standardInput:
		name = "standard input"
	}
	_, _ = fmt.Fprintf(p.stdout, "%s: ok\n", name)
	summary(p.stdout, cfg)
	for _, warning := range cfg.Warnings() {
		_, _ = fmt.Fprintf(p.stderr, "sluice: warning: %s\n", warning)
	}
	if show {
		_, _ = fmt.Fprintf(p.stdout, "\n%s", cfg.Redacted())
	}
	return nil
}

// summary writes what a configuration means, without secrets.
func summary(w io.Writer, cfg *config.Config) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("digest", cfg.Digest())
	row("listen", cfg.Listen)
	switch {
	case !cfg.Admin.Enabled():
		row("admin", "off")
	case cfg.Admin.NeedsKey():
		row("admin", cfg.Admin.Listen, "asks for the key of an administrator")
	default:
		row("admin", cfg.Admin.Listen, "asks for no key")
	}
	for _, provider := range cfg.Providers {
		row("provider", provider.Name, providerURL(provider), providerKey(cfg, provider))
	}
	for _, model := range cfg.Models {
		for _, target := range model.Targets {
			order := fmt.Sprintf("weight %d", target.Weight)
			if target.Priority > 1 {
				order += fmt.Sprintf(", priority %d", target.Priority)
			}
			row("model", model.Name, target.Provider+"/"+target.Model, order)
		}
	}
	if len(cfg.Models) == 0 {
		row("models", "any name", "goes to "+cfg.Providers[0].Name+", or to the provider that provider/model names")
	}
	for _, key := range cfg.Keys {
		role := ""
		if key.Admin {
			role = "admin"
		}
		row("key", key.Alias, role)
	}
	if len(cfg.Keys) == 0 {
		row("keys", "none", "anyone who can reach the listener may use it")
	}
	url, keep := ledgerPlace(cfg)
	row("ledger", url, keep)
	if cfg.Redis != "" {
		row("redis", cfg.Redis.Redacted(), "limits and requests are shared with other replicas")
	}
	_ = t.Flush()
}

// ledgerPlace says where records are kept, without a password, and for how long.
func ledgerPlace(cfg *config.Config) (url, keep string) {
	url, err := cfg.LedgerURL()
	switch {
	case err != nil:
		return "none", err.Error()
	case url == config.LedgerMemory:
		return "memory", fmt.Sprintf("the last %d records", cfg.Records)
	case cfg.Keep == 0:
		keep = "records are kept for ever"
	default:
		keep = "records are kept for " + cfg.Keep.String()
	}
	return config.RedactURL(url), keep
}

// providerURL says where a provider is.
func providerURL(p config.Provider) string {
	if p.Dialect == config.DialectSim {
		return "built-in simulator"
	}
	return p.Endpoint()
}

// providerKey says whose credential a provider sees.
func providerKey(cfg *config.Config, p config.Provider) string {
	switch p.Credential() {
	case config.CredentialNone:
		return "no key needed"
	case config.CredentialKey:
		return "key " + p.APIKey.Masked()
	case config.CredentialHeaders:
		return "the credential in its headers"
	case config.CredentialAWS:
		return "the AWS credentials of this machine"
	case config.CredentialGoogle:
		return "the Google credentials of this machine"
	}
	if len(cfg.Keys) > 0 {
		return "no key: those of clients are sluice's own and stay here"
	}
	return "the client's own key"
}
