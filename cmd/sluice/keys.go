package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
)

func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make and manage keys for clients",
		Long: `Make and manage keys for clients. new and hash make keys for the configuration; the
others work on keys in the ledger's database, which the configuration names. They may
run beside sluice, which sees a change within seconds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		p.keysNewCommand(), p.keysHashCommand(), p.keysCreateCommand(), p.keysListCommand(), p.keysRotateCommand(),
		p.keysSwitchCommand("disable", "Refuse a key from now on", true), p.keysSwitchCommand("enable", "Let a disabled key in again", false),
	)
	return cmd
}

func (p *program) keysNewCommand() *cobra.Command {
	var alias string
	var admin bool
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a random key and the lines that configure it",
		Long: `Make a random key. It is written once, with the lines for the configuration, which
hold only its hash.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := validKey(config.Key{Alias: alias, Admin: admin, Limits: config.Quota{Fail: config.FailOpen}}); err != nil {
				return err
			}
			key, hash := access.NewKey()
			_, err := fmt.Fprintf(p.stdout, "%s\n\nThe key is not kept anywhere: hand it over now. For config.yaml:\n\n%s", key, keyLines(alias, hash, admin))
			return err
		},
	}
	cmd.Flags().StringVar(&alias, "alias", "client", "name of the key in logs, records and labels")
	cmd.Flags().BoolVar(&admin, "admin", false, "may see and cancel the requests of other keys")
	return cmd
}

func keyLines(alias, hash string, admin bool) string {
	lines := fmt.Sprintf("keys:\n  - alias: %q\n    sha256: %q\n", alias, hash)
	if admin {
		lines += "    admin: true\n"
	}
	return lines
}

// validKey reports the first thing about a key that the configuration would refuse, by its
// flag.
func validKey(key config.Key) error {
	err := config.ValidateKey(key)
	var problems *config.Problems
	if errors.As(err, &problems) {
		first := problems.List[0]
		return fmt.Errorf("--%s: %s", keyFlag(first.Path), first.Message)
	}
	return err
}

// keyFlag is the flag for a setting.
func keyFlag(path string) string {
	name := strings.TrimPrefix(path, "limits.")
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name = name[:i]
	}
	switch name {
	case "budgets":
		return "budget"
	case "models":
		return "model"
	}
	return strings.ReplaceAll(name, "_", "-")
}

func (p *program) keysHashCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Hash a key from standard input",
		Long: `Read a key from the first line of standard input and write its SHA-256, as sha256
in the configuration wants it. The key is not an argument, because arguments show
in process lists and shell histories.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			line, err := bufio.NewReader(io.LimitReader(p.stdin, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("reading the key: %w", err)
			}
			key := strings.TrimSpace(line)
			if key == "" {
				return errors.New("no key on standard input")
			}
			_, err = fmt.Fprintln(p.stdout, access.Hash(key))
			return err
		},
	}
}
