package modeldata

import (
	"bytes"
	_ "embed" // models.json
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed models.json
var builtin []byte

// Builtin is the table of what is known without an operator's help. It is made once.
func Builtin() *Table { return builtinTable() }

var builtinTable = sync.OnceValue(func() *Table {
	entries, _, err := read(builtin)
	if err != nil {
		panic("modeldata: the built-in models.json: " + err.Error()) // a test reads it
	}
	return &Table{entries: entries}
})

// Load reads an operator's file, which has the form of models.json. Its entries come
// after the built-in ones, so that they override them, or take their place if the file
// says "replace": true. Errors name the entry and the member at fault.
func Load(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading model data: %w", err)
	}
	entries, replace, err := read(data)
	if err != nil {
		return nil, fmt.Errorf("reading model data: %s: %w", path, err)
	}
	if !replace {
		entries = slices.Concat(Builtin().entries, entries)
	}
	return &Table{entries: entries}, nil
}

// file is the form of models.json and of an operator's file.
type file struct {
	Replace bool              `json:"replace"`
	Models  []json.RawMessage `json:"models"`
}

// written is an entry as it stands in a file.
type written struct {
	Match    string   `json:"match"`
	Dialects []string `json:"dialects"`
	facts
	Source string `json:"source"` // where the facts are from: addresses, by spaces
	Date   string `json:"date"`   // when they were looked up
	Note   string `json:"note"`
}

// read takes a file apart and checks it.
func read(data []byte) (entries []entry, replace bool, err error) {
	var f file
	if err := decode(data, &f); err != nil {
		return nil, false, err
	}
	for i, raw := range f.Models {
		var w written
		err := decode(raw, &w)
		if err == nil {
			err = w.check()
		}
		if err != nil {
			return nil, false, fmt.Errorf("entry %d%s: %w", i+1, w.title(), err)
		}
		entries = append(entries, entry{strings.Fields(strings.ToLower(w.Match)), w.Dialects, w.facts})
	}
	return entries, f.Replace, nil
}

// decode reads one JSON value strictly.
func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong) && wrong.Field == "":
			return fmt.Errorf("a JSON %s where an object must be", wrong.Value)
		case errors.As(err, &wrong): // which also names the struct that is embedded
			return fmt.Errorf("%q cannot be a JSON %s", strings.TrimPrefix(wrong.Field, "facts."), wrong.Value)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the JSON ends too early")
		}
		if member, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return fmt.Errorf("unknown member %s", member)
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON")
	}
	return nil
}

func (w *written) title() string {
	if w.Match == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", w.Match)
}

var (
	styles  = []string{StyleNone, StyleBudget, StyleAdaptive, StyleLevel, StyleEffort}
	traits  = []string{TraitJSONSchema, TraitTemperatureOrTopP, TraitThoughtSignatures, TraitOpenAPISchemas, TraitNoPrefill, TraitNoForcedTools, TraitBoundThoughts}
	efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
)

// check finds what is wrong with an entry although its types are right.
func (w *written) check() error {
	if len(strings.Fields(w.Match)) == 0 {
		return errors.New(`"match" is missing`)
	}
	if w.Date != "" {
		if _, err := time.Parse(time.DateOnly, w.Date); err != nil {
			return errors.New(`"date" must be of the form 2006-01-31`)
		}
	}
	if slices.Contains(w.Dialects, "") {
		return errors.New(`"dialects" has an empty name`)
	}
	if w.Refuses != nil && slices.Contains(*w.Refuses, "") {
		return errors.New(`"refuses" has an empty name`)
	}
	if w.Traits != nil {
		if err := known("traits", *w.Traits, traits); err != nil {
			return err
		}
	}
	if err := positive("context", w.Context); err != nil {
		return err
	}
	if err := positive("max_output", w.MaxOutput); err != nil {
		return err
	}
	if w.Reasoning != nil {
		return w.Reasoning.check()
	}
	return nil
}

func (r *reasoningFacts) check() error {
	if r.Style != nil {
		if err := known("reasoning.style", []string{*r.Style}, styles); err != nil {
			return err
		}
	}
	if r.Budgets != nil {
		if err := known("reasoning.budgets", sortedKeys(*r.Budgets), efforts); err != nil {
			return err
		}
		for _, effort := range sortedKeys(*r.Budgets) {
			budget := (*r.Budgets)[effort]
			if err := positive("reasoning.budgets."+effort, &budget); err != nil {
				return err
			}
		}
	}
	if r.Words != nil {
		if err := known("reasoning.words", sortedKeys(*r.Words), efforts); err != nil {
			return err
		}
	}
	if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
		return errors.New(`"reasoning.min" is larger than "reasoning.max"`)
	}
	if err := positive("reasoning.min", r.Min); err != nil {
		return err
	}
	return positive("reasoning.max", r.Max)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func known(member string, values, allowed []string) error {
	for _, v := range values {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%q has the unknown value %q; known are %s", member, v,
				strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
		}
	}
	return nil
}

func positive(member string, n *int64) error {
	if n != nil && *n < 0 {
		return fmt.Errorf("%q is negative", member)
	}
	return nil
}
