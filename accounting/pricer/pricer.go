// Package pricer puts what a configuration says of prices and providers together and
// gives records their cost.
package pricer

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/prices"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/modeldata"
)

// The layers of prices, the first one going before the others.
const (
	LayerOverrides = "overrides" // of the configuration
	LayerFile      = "file"      // that the configuration names
	LayerBuiltin   = "built-in"
)

// Layer is a list of prices and what it is called.
type Layer struct {
	Name   string
	Prices []prices.Price
}

// Pricer knows what the models of the configured providers cost. It is safe for
// concurrent use.
type Pricer struct {
	layers    []Layer
	table     *prices.Table
	providers map[string]provider
	known     *modeldata.Table
}

// provider is what prices depend on of a configured provider.
type provider struct{ vendor, dialect string }

// New makes a pricer. known tells the largest output of models; nil stands for what the
// configuration says of it. The file of prices is read now.
func New(cfg *config.Config, known *modeldata.Table) (*Pricer, error) {
	p := &Pricer{providers: make(map[string]provider, len(cfg.Providers)), known: known}
	if known == nil {
		p.known = modeldata.Builtin()
		if cfg.ModelData != "" {
			var err error
			if p.known, err = modeldata.Load(cfg.ModelData); err != nil {
				return nil, err
			}
		}
	}
	for _, configured := range cfg.Providers {
		p.providers[configured.Name] = provider{vendorOf(configured), configured.Dialect}
	}
	p.layers = append(p.layers, Layer{LayerOverrides, overrides(cfg.Prices.Overrides)})
	if path := cfg.Prices.File; path != "" {
		list, err := readFile(path)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, Layer{LayerFile, list})
	}
	p.layers = append(p.layers, Layer{LayerBuiltin, prices.Builtin()})
	lists := make([][]prices.Price, len(p.layers))
	for i, l := range p.layers {
		lists[i] = l.Prices
	}
	p.table = prices.New(lists...)
	return p, nil
}

// vendorOf tells who sells the tokens of a provider.
func vendorOf(p config.Provider) string {
	host := ""
	if u, err := url.Parse(p.Endpoint()); err == nil {
		host = u.Host
	}
	return prices.VendorOf(p.Dialect, p.Platform, host)
}

// maxFile is the largest file of prices that is read. Those that are published have a few
// megabytes.
const maxFile = 64 << 20

func readFile(path string) ([]prices.Price, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the file of prices: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the file of prices: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("reading the file of prices: %s is larger than %d bytes", path, maxFile)
	}
	list, err := prices.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// overrides are the prices of the configuration, which has the same unit.
func overrides(configured []config.Price) []prices.Price {
	part := func(r *config.Rate) *prices.Rate { return (*prices.Rate)(r) }
	list := make([]prices.Price, len(configured))
	for i, c := range configured {
		list[i] = prices.Price{
			Provider: c.Provider, Model: c.Model, ServiceTier: c.ServiceTier, AboveInput: int64(c.AboveInput),
			Input: prices.Rate(c.Input), Output: prices.Rate(c.Output),
			InputCached: part(c.InputCached), InputCacheWrite: part(c.InputCacheWrite), InputAudio: part(c.InputAudio),
			OutputReasoning: part(c.OutputReasoning), OutputAudio: part(c.OutputAudio),
			Source: "the configuration",
		}
	}
	return list
}

// Layers returns all prices, those that go first before the others. The caller must not
// change them.
func (p *Pricer) Layers() []Layer { return p.layers }

// Has reports whether a provider is configured.
func (p *Pricer) Has(provider string) bool {
	_, ok := p.providers[provider]
	return ok
}

// Vendor tells who sells the tokens of a configured provider, in the words of
// prices.VendorOf.
func (p *Pricer) Vendor(provider string) string { return p.providers[provider].vendor }

// Find returns the prices that apply to a model of a provider; see prices.Table.Find.
// Their Layer is an index into Layers.
func (p *Pricer) Find(provider, model, serviceTier string) []prices.Found {
	return p.table.Find(p.subject(provider, model, serviceTier, time.Now()))
}

// PerToken returns what a million tokens of input and of output cost as a rule, in units
// of 1e-9 USD, for what is not counted yet. Requests that are longer than usual or served
// in another way can cost more; Cost tells.
func (p *Pricer) PerToken(provider, model string) (inputNanoPerMillion, outputNanoPerMillion int64, ok bool) {
	found := p.table.Price(p.subject(provider, model, "", time.Now()), tokens.Count{})
	if found == nil {
		return 0, 0, false
	}
	return int64(found.Input), int64(found.Output), true
}

// Cost returns what usage costs now, in units of 1e-9 USD; see prices.Table.Cost. It does
// not allocate for models that were asked for before.
func (p *Pricer) Cost(provider, model, serviceTier string, u tokens.Usage) (nano int64, ok bool) {
	return p.table.Cost(p.subject(provider, model, serviceTier, time.Now()), u)
}

func (p *Pricer) subject(provider, model, serviceTier string, at time.Time) prices.Subject {
	vendor := p.providers[provider].vendor
	return prices.Subject{
		Provider: provider, Vendor: vendor, Model: model, ServiceTier: prices.TierAt(vendor, serviceTier, at), At: at,
	}
}

// Price sets the cost of a record and its bounds from its usage, its provider, its model,
// its service tier, its outcome and what the provider may charge: at the most, the output
// that its request allowed, or else its model allows. It does the same for each abandoned
// attempt of the record, at the prices of its own provider.
//
// A record of an exchange that cannot have run has a cost, which is 0.
func (p *Pricer) Price(r *accounting.Record) {
	p.priceRecord(r)
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() {
			p.priceAttempt(r, a)
		}
	}
}

// call is what a cost depends on.
type call struct {
	subject prices.Subject
	usage   tokens.Usage
	bill    string
	// dialect and model tell the largest output, where maxOutput is 0.
	dialect, model string
	maxOutput      int64
}

func (p *Pricer) priceRecord(r *accounting.Record) {
	r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD = p.price(call{
		subject: p.subjectOf(r), usage: r.Usage, bill: billOf(r),
		dialect: p.dialect(r.Provider, r.DialectOut), model: r.ModelServed, maxOutput: r.OutputLimit,
	})
}

// priceAttempt prices an abandoned attempt, with the prices of the time at which it began.
func (p *Pricer) priceAttempt(r *accounting.Record, a *accounting.Attempt) {
	at := a.Start
	if at.IsZero() {
		at = r.Start
	}
	bill := a.MayBill // the words are the same
	if a.UsageSource == accounting.SourceReported {
		bill = prices.BillCompleted
	}
	a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD = p.price(call{
		subject: p.subject(a.Provider, a.Model, a.ServiceTier, at), usage: a.Usage, bill: bill,
		dialect: p.dialect(a.Provider, r.DialectOut), model: a.Model, maxOutput: r.OutputLimit,
	})
}

// dialect is that of a configured provider.
func (p *Pricer) dialect(provider, otherwise string) string {
	if configured, ok := p.providers[provider]; ok {
		return configured.dialect
	}
	return otherwise
}

// price returns what a call costs, and its bounds; all of them nil where that is not known.
func (p *Pricer) price(c call) (cost, low, high *int64) {
	if c.bill == prices.BillNone && !c.usage.Any() {
		return new(int64), new(int64), new(int64)
	}
	nano, ok := p.table.Cost(c.subject, c.usage)
	if !ok {
		return nil, nil, nil
	}
	if c.maxOutput <= 0 {
		c.maxOutput = p.known.Find(c.dialect, c.model).MaxOutput
	}
	low, high = p.table.Bounds(c.subject, c.usage, c.bill, c.maxOutput)
	return &nano, low, high
}

// Reprice does what Price does for a record that had its price before, and reports whether
// that has changed anything. What was asked of a provider that is not configured any more
// keeps its cost, and so does a record whose provider has said what it cost.
func (p *Pricer) Reprice(r *accounting.Record) (changed bool) {
	if p.Has(r.Provider) && !statedCost(r) {
		cost, low, high := r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD
		p.priceRecord(r)
		changed = !same(cost, r.CostNanoUSD) || !same(low, r.CostLowNanoUSD) || !same(high, r.CostHighNanoUSD)
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if !a.Abandoned() || !p.Has(a.Provider) {
			continue
		}
		cost, low, high := a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD
		p.priceAttempt(r, a)
		changed = changed || !same(cost, a.CostNanoUSD) || !same(low, a.CostLowNanoUSD) || !same(high, a.CostHighNanoUSD)
	}
	return changed
}

// statedCost tells that the cost was asked for after the end, at the provider.
func statedCost(r *accounting.Record) bool {
	return r.Estimate != nil && r.CostNanoUSD != nil && gjson.GetBytes(r.RawUsage, "total_cost").Exists()
}

func same(a, b *int64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// billOf tells what the provider may charge for the exchange of a record.
func billOf(r *accounting.Record) string {
	if r.Outcome == accounting.OutcomeCompleted || r.UsageSource == accounting.SourceReported {
		return prices.BillCompleted
	}
	return r.MayBill // the words are the same
}
