package prices

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// Table finds prices. It is safe for concurrent use.
type Table struct {
	layers []layer

	mu    sync.RWMutex
	found map[question][]Found // answers given before, at most maxFound
}

// layer is a list of prices that goes before the next one.
type layer struct {
	named    map[string][]*Price // by the whole name of the model
	patterns []*Price            // those with a *, the one with the most letters first
}

// question is what a price depends on, besides the number of input tokens.
type question struct{ provider, vendor, model, tier string }

// Found is a price that applies.
type Found struct {
	Price
	// Layer is that of the price, counted from 0.
	Layer int
	// from is Price.From in seconds since 1970, 0 if it is empty.
	from int64
}

// holds reports whether the price is that of a request which began at a time, with so many
// input tokens.
func (f *Found) holds(at time.Time, input tokens.Count) bool {
	return (f.from == 0 || at.Unix() >= f.from) && (f.AboveInput <= 0 || input.Known && input.N > f.AboveInput)
}

const (
	// maxFound bounds the answers that are remembered, and maxRemembered the length of
	// the names that they are remembered for: clients make names up.
	maxFound      = 1024
	maxRemembered = 512
)

// New makes a table of layers of prices. A price of an earlier layer goes before those of
// the later ones, and of two prices for the same thing in one layer the first.
func New(layers ...[]Price) *Table {
	t := &Table{layers: make([]layer, len(layers))}
	for i, prices := range layers {
		l := layer{named: make(map[string][]*Price, len(prices))}
		for _, p := range prices {
			p.Model = strings.ToLower(p.Model)
			if strings.Contains(p.Model, "*") {
				l.patterns = append(l.patterns, &p)
			} else {
				l.named[p.Model] = append(l.named[p.Model], &p)
			}
		}
		slices.SortStableFunc(l.patterns, func(a, b *Price) int { return cmp.Compare(letters(b), letters(a)) })
		t.layers[i] = l
	}
	return t
}

// letters is how much of a name a pattern says.
func letters(p *Price) int { return len(p.Model) - strings.Count(p.Model, "*") }

// Find returns the prices that apply to a subject at any time, in the order in which they
// are tried: the price of a request is the first one whose time has come and whose
// AboveInput, if it has one, the request's input exceeds. There is none when the price is
// not known. The caller must not change them.
//
// An earlier layer goes before a later one. In a layer a model's name as it is goes before
// a part of it (see docs/prices.md), the whole of a name before a pattern, and a longer
// pattern before a shorter one; then prices of the provider by its name before those of
// the vendor, and those before the ones that say neither. A service tier that vendors
// charge for has no price unless there is one for just that tier; one that the vendor
// does not charge for costs what the normal one does.
func (t *Table) Find(s Subject) []Found {
	asked := question{s.Provider, s.Vendor, s.Model, s.ServiceTier}
	t.mu.RLock()
	found, ok := t.found[asked]
	t.mu.RUnlock()
	if ok {
		return found
	}
	found = t.look(asked)
	if len(asked.provider)+len(asked.vendor)+len(asked.model)+len(asked.tier) <= maxRemembered {
		t.remember(question{
			strings.Clone(asked.provider), strings.Clone(asked.vendor),
			strings.Clone(asked.model), strings.Clone(asked.tier),
		}, found)
	}
	return found
}

func (t *Table) remember(asked question, found []Found) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found == nil || len(t.found) >= maxFound {
		t.found = make(map[question][]Found)
	}
	t.found[asked] = found
}

// Price returns that of a request with so many input tokens, nil if it is not known. The
// caller must not change it.
func (t *Table) Price(s Subject, input tokens.Count) *Found {
	found := t.Find(s)
	for i := range found {
		if found[i].holds(s.At, input) {
			return &found[i]
		}
	}
	return nil
}

func (t *Table) look(asked question) []Found {
	asked.tier = tierName(asked.vendor, asked.tier)
	found := t.lookTier(asked)
	if found == nil && asked.tier != "" && !chargesForTiers(asked.vendor) {
		asked.tier = ""
		found = t.lookTier(asked)
	}
	return found
}

// lookTier goes through everything that could apply, the best first, until a price holds
// at any time for any number of input tokens.
func (t *Table) lookTier(asked question) []Found {
	names := spellings(asked.model)
	vendors := sellers(asked.vendor, names[0])
	var found []Found
	for i := range t.layers {
		for _, name := range names {
			for _, same := range t.layers[i].candidates(name) {
				for _, p := range best(same, asked, vendors) {
					f := Found{Price: *p, Layer: i}
					if day, err := time.Parse(time.DateOnly, p.From); err == nil {
						f.from = day.Unix()
					}
					found = append(found, f)
					if f.from == 0 && p.AboveInput <= 0 {
						return found
					}
				}
			}
		}
	}
	return found
}

// candidates returns the prices for a name, in lists of the same model or pattern.
func (l *layer) candidates(name string) [][]*Price {
	var lists [][]*Price
	if named := l.named[name]; named != nil {
		lists = append(lists, named)
	}
	for i := 0; i < len(l.patterns); {
		pattern, from := l.patterns[i].Model, i
		for i < len(l.patterns) && l.patterns[i].Model == pattern {
			i++
		}
		if matches(pattern, name) {
			lists = append(lists, l.patterns[from:i])
		}
	}
	return lists
}

// best returns the prices of a list that apply to a question: those of the provider, of
// its vendors in their order, and those for anyone; in each of these the one for the most
// input first, and the latest.
func best(list []*Price, asked question, vendors []string) []*Price {
	var applying []*Price
	rank := func(p *Price) int { return seller(p, asked.provider, vendors) }
	for _, p := range list {
		if tierName(asked.vendor, p.ServiceTier) == asked.tier && rank(p) >= 0 {
			applying = append(applying, p)
		}
	}
	slices.SortStableFunc(applying, func(a, b *Price) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.AboveInput, a.AboveInput), strings.Compare(b.From, a.From))
	})
	return applying
}

// seller tells how well a price fits who sells: 0 is best, -1 is not at all.
func seller(p *Price, provider string, vendors []string) int {
	if p.Provider != "" && p.Provider != provider {
		return -1
	}
	rank := len(vendors)
	if p.Vendor != "" {
		if rank = slices.Index(vendors, p.Vendor); rank < 0 {
			return -1
		}
	}
	if p.Provider != "" {
		return rank
	}
	return rank + len(vendors) + 1
}
