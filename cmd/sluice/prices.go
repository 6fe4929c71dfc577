package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/accounting/prices"
	"github.com/sluicehq/sluice/config"
)

func (p *program) pricesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prices",
		Short: "Show prices and get price tables",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.pricesShowCommand(), p.pricesFetchCommand())
	return cmd
}

func (p *program) pricesShowCommand() *cobra.Command {
	var tier string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [MODEL]",
		Short: "Show which prices apply",
		Long: `Show what MODEL costs: a model of the configuration at each of its targets,
provider/model at that provider, any other name at every provider. Each price says
where it is from: the overrides of the configuration, the file that it names, or
the table that is built in. Without MODEL all prices are shown.

Amounts are USD for a million tokens. Of several prices the first one applies that is
not for larger requests (ABOVE so many input tokens) or for later ones (SINCE).`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := p.load("")
			if err != nil {
				return err
			}
			known, err := pricer.New(cfg, nil)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return writePrices(p.stdout, allPrices(known), asJSON)
			}
			return writePrices(p.stdout, pricesOf(cfg, known, args[0], tier), asJSON)
		},
	}
	cmd.Flags().StringVar(&tier, "tier", "", "service tier, as batch, flex or priority")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// shownPrice is a price and what it is for.
type shownPrice struct {
	Provider string `json:"provider,omitempty"`
	Vendor   string `json:"vendor,omitempty"`
	Model    string `json:"model"`
	// Layer and Price are left out where the price is not known.
	Layer string        `json:"layer,omitempty"`
	Price *prices.Price `json:"price,omitempty"`
}

// allPrices are those of all layers, as they stand there.
func allPrices(known *pricer.Pricer) []shownPrice {
	var all []shownPrice
	for _, layer := range known.Layers() {
		for i := range layer.Prices {
			price := &layer.Prices[i]
			all = append(all, shownPrice{price.Provider, price.Vendor, price.Model, layer.Name, price})
		}
	}
	return all
}

// pricesOf are the prices of a model wherever a client can be sent that asks for it.
func pricesOf(cfg *config.Config, known *pricer.Pricer, model, tier string) []shownPrice {
	var all []shownPrice
	for _, target := range targetsOf(cfg, model) {
		shown := shownPrice{Provider: target.Provider, Vendor: known.Vendor(target.Provider), Model: target.Model}
		found := known.Find(target.Provider, target.Model, tier)
		if len(found) == 0 {
			all = append(all, shown)
		}
		for i := range found {
			shown.Layer, shown.Price = known.Layers()[found[i].Layer].Name, &found[i].Price
			all = append(all, shown)
		}
	}
	return all
}

// targetsOf finds the places where a model is served.
func targetsOf(cfg *config.Config, model string) []config.Target {
	for _, m := range cfg.Models {
		if m.Name == model {
			return m.Targets
		}
	}
	name, rest, slash := strings.Cut(model, "/")
	var all []config.Target
	for _, provider := range cfg.Providers {
		if slash && provider.Name == name {
			return []config.Target{{Provider: name, Model: rest}}
		}
		all = append(all, config.Target{Provider: provider.Name, Model: model})
	}
	return all
}

func writePrices(w io.Writer, all []shownPrice, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) }
	row("PROVIDER", "VENDOR", "MODEL", "TIER", "ABOVE", "SINCE", "INPUT", "CACHED", "WRITTEN", "OUTPUT", "TABLE", "DATE", "SOURCE")
	for _, s := range all {
		if s.Price == nil {
			row(orDash(s.Provider), orDash(s.Vendor), s.Model, "-", "-", "-", "-", "-", "-", "-", "no price", "-", "-")
			continue
		}
		above := "-"
		if s.Price.AboveInput > 0 {
			above = strconv.FormatInt(s.Price.AboveInput, 10)
		}
		row(orDash(s.Provider), orDash(s.Vendor), s.Model, orDash(s.Price.ServiceTier), above, orDash(s.Price.From),
			s.Price.Input.String(), rateOrDash(s.Price.InputCached), rateOrDash(s.Price.InputCacheWrite), s.Price.Output.String(),
			s.Layer, orDash(s.Price.Date), orDash(s.Price.Source))
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func rateOrDash(r *prices.Rate) string {
	if r == nil {
		return "-"
	}
	return r.String()
}
