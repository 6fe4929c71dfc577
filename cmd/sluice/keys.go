package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
)

// keyPrefix lets secret scanners and people tell what a key belongs to.
const keyPrefix = "sk-sluice-"

func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make keys for clients",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.keysNewCommand(), p.keysHashCommand())
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
			secret := make([]byte, 32)
			_, _ = rand.Read(secret) // never fails, see crypto/rand
			key := keyPrefix + base64.RawURLEncoding.EncodeToString(secret)
			lines := keyLines(alias, key, admin)
			if err := validKeyLines(lines); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "%s\n\nThe key is not kept anywhere: hand it over now. For config.yaml:\n\n%s", key, lines)
			return err
		},
	}
	cmd.Flags().StringVar(&alias, "alias", "client", "name of the key in logs, records and labels")
	cmd.Flags().BoolVar(&admin, "admin", false, "may see and cancel the requests of other keys")
	return cmd
}

func keyLines(alias, key string, admin bool) string {
	lines := fmt.Sprintf("keys:\n  - alias: %q\n    sha256: %q\n", alias, hashKey(key))
	if admin {
		lines += "    admin: true\n"
	}
	return lines
}

// validKeyLines reports an alias that the configuration would refuse.
func validKeyLines(lines string) error {
	none := func(string) (string, bool) { return "", false }
	_, err := config.Parse([]byte("providers: [{name: sim, dialect: sim}]\n"+lines), "", none)
	var problems *config.Problems
	if errors.As(err, &problems) {
		return fmt.Errorf("--alias: %s", problems.List[0].Message)
	}
	return err
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
			_, err = fmt.Fprintln(p.stdout, hashKey(key))
			return err
		},
	}
}

// hashKey returns the SHA-256 of a key in the form of the configuration.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
