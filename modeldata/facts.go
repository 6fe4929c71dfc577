package modeldata

// facts are the members of a Model that an entry states. A nil one is not stated.
type facts struct {
	Context   *int64          `json:"context"`
	MaxOutput *int64          `json:"max_output"`
	Reasoning *reasoningFacts `json:"reasoning"`
	Refuses   *[]string       `json:"refuses"`
	Traits    *[]string       `json:"traits"`
}

type reasoningFacts struct {
	Style   *string            `json:"style"`
	Min     *int64             `json:"min"`
	Max     *int64             `json:"max"`
	Budgets *map[string]int64  `json:"budgets"`
	Words   *map[string]string `json:"words"`
	On      *bool              `json:"on"`
	Always  *bool              `json:"always"`
	Off     *string            `json:"off"`
}

// apply overrides what m says with what f states.
func (f *facts) apply(m *Model) {
	set(&m.Context, f.Context)
	set(&m.MaxOutput, f.MaxOutput)
	set(&m.Refuses, f.Refuses)
	set(&m.Traits, f.Traits)
	if r := f.Reasoning; r != nil {
		set(&m.Reasoning.Style, r.Style)
		set(&m.Reasoning.Min, r.Min)
		set(&m.Reasoning.Max, r.Max)
		set(&m.Reasoning.Budgets, r.Budgets)
		set(&m.Reasoning.Words, r.Words)
		set(&m.Reasoning.On, r.On)
		set(&m.Reasoning.Always, r.Always)
		set(&m.Reasoning.Off, r.Off)
	}
}

func set[T any](to, stated *T) {
	if stated != nil {
		*to = *stated
	}
}
