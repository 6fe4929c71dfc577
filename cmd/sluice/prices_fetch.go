package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/accounting/prices"
)

// priceTables are the tables that others publish, by the names that --from takes.
var priceTables = map[string]string{
	"litellm":    "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json",
	"models.dev": "https://models.dev/api.json",
}

// maxPriceTable is the largest table that is taken. The known ones have a few megabytes.
const maxPriceTable = 64 << 20

func (p *program) pricesFetchCommand() *cobra.Command {
	var from, out string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "fetch --from litellm|models.dev|URL|FILE --out FILE",
		Short: "Get a price table that others publish",
		Long: `Get LiteLLM's price table, that of models.dev, or one of the same form from a URL or
a file, check it, and write it to the file that prices.file names in the
configuration. The file is replaced as a whole or not at all. sluice reads it when
it starts; it never gets a table by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || out == "" {
				return errors.New("--from and --out are required")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if err := fetchPrices(ctx, p.stdout, from, out); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "litellm, models.dev, a URL, or a file")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait for the table")
	_ = cmd.MarkFlagFilename("out", "json")
	return cmd
}

// fetchPrices gets a table, checks it, puts it in its place and tells what has changed.
func fetchPrices(ctx context.Context, stdout io.Writer, from, out string) error {
	data, err := readTable(ctx, from)
	if err != nil {
		return err
	}
	fetched, err := prices.Read(data)
	if err != nil {
		return err
	}
	summary := compareWithFile(fetched, out)
	if err := replaceFile(out, data); err != nil {
		return fmt.Errorf("writing the prices: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s\n", out, summary)
	return err
}

// readTable reads from one of the priceTables, a URL or a file.
func readTable(ctx context.Context, from string) ([]byte, error) {
	if table, ok := priceTables[from]; ok {
		from = table
	}
	if strings.HasPrefix(from, "https://") || strings.HasPrefix(from, "http://") {
		return download(ctx, from)
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, fmt.Errorf("reading the prices: %w", err)
	}
	defer func() { _ = file.Close() }()
	return readBounded(file)
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPriceTable+1))
	if err != nil {
		return nil, fmt.Errorf("reading the prices: %w", err)
	}
	if len(data) > maxPriceTable {
		return nil, fmt.Errorf("reading the prices: there are more than %d bytes", maxPriceTable)
	}
	return data, nil
}

var errDowngrade = errors.New("redirected from https to http")

// download gets what is at a URL. Its errors do not hold the query of the URL.
func download(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("getting the prices: that is not a URL")
	}
	request.Header.Set("User-Agent", "sluice/"+buildInfo().Version)
	client := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
				return errDowngrade
			case len(via) == 5:
				return errors.New("redirected too often")
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its text holds the URL
		}
		return nil, fmt.Errorf("getting the prices from %s: %w", request.URL.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("getting the prices from %s: status %d", request.URL.Host, response.StatusCode)
	}
	return readBounded(response.Body)
}

// compareWithFile says what a table has that the file at path has not, which need not be
// there.
func compareWithFile(fetched []prices.Price, path string) string {
	models := map[[2]string]bool{}
	now := map[prices.Price]string{}
	for _, p := range fetched {
		models[[2]string{p.Vendor, p.Model}] = true
		now[priceKey(p)] = amounts(p)
	}
	summary := fmt.Sprintf("%d models", len(models))
	data, err := os.ReadFile(path)
	if err != nil {
		return summary
	}
	last, err := prices.Read(data)
	if err != nil {
		return summary + "; the file held no prices before"
	}
	was := map[prices.Price]string{}
	for _, p := range last {
		was[priceKey(p)] = amounts(p)
	}
	added, changed, gone := 0, 0, 0
	for key, is := range now {
		switch before, ok := was[key]; {
		case !ok:
			added++
		case before != is:
			changed++
		}
	}
	for key := range was {
		if _, ok := now[key]; !ok {
			gone++
		}
	}
	return fmt.Sprintf("%s; prices: %d new, %d changed, %d gone", summary, added, changed, gone)
}

// priceKey is what a price is for.
func priceKey(p prices.Price) prices.Price {
	return prices.Price{Vendor: p.Vendor, Provider: p.Provider, Model: p.Model, ServiceTier: p.ServiceTier, AboveInput: p.AboveInput}
}

// amounts are the rates of a price, comparable.
func amounts(p prices.Price) string {
	p.Date, p.Source = "", ""
	b, _ := json.Marshal(p) // numbers and strings
	return string(b)
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(path string, data []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(data); err != nil {
		return err
	}
	// Prices are no secret, and sluice may run as another user.
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
