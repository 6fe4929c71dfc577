package config

// Model maps a public model name to targets.
type Model struct {
	// Name may hold one *, which then stands for any run of characters.
	Name string `yaml:"name" required:"true" doc:"The name clients ask for. A * in it stands for any run of characters; exact names and aliases go first, then the longest with a *."`
	// Aliases are other names; each may hold one *, as Name may.
	Aliases []string `yaml:"aliases,omitempty" doc:"Other names of the model, each with a * or without, as in name."`
	Targets []Target `yaml:"targets" required:"true" doc:"Where the model is served. At least one."`
	// Balance is BalanceWeight or BalanceLatency.
	Balance string `yaml:"balance" enum:"weight,latency" doc:"Which of the targets of one priority is asked first: by weight, or the one that has been the quickest to its first token."`
	// Sticky is empty, StickyKey, or the name of a request header.
	Sticky string `yaml:"sticky,omitempty" doc:"Send requests that have the same value of this to the same target while it is healthy: key (who asks), or the name of a request header, as X-Session-Id."`
	// Fallback is empty or the name of another model.
	Fallback string `yaml:"fallback,omitempty" doc:"Model that serves a request instead when the provider refuses it for one of fallback_on."`
	// FallbackOn holds FallbackOn constants.
	FallbackOn []string `yaml:"fallback_on,omitempty" enum:"context_length,content" doc:"Refusals for which the fallback model is asked: context_length (the prompt is too long), content (the provider's content filter). Default: both."`
	// FirstToken is 0 where that of Timeouts holds.
	FirstToken Duration `yaml:"first_token,omitempty" doc:"From the sent request to the first token, for this model. With several targets, the next one takes over then. Default: timeouts.first_token."`
	// FirstTokenFailover is true by default.
	FirstTokenFailover bool `yaml:"first_token_failover" doc:"Let the next target take over when one has begun to answer and then fails, or is silent for first_token, before its first token. The client does not notice; the call that was cut may cost something and is booked."`
	// HedgeAfter is 0 for no hedging.
	HedgeAfter Duration `yaml:"hedge_after,omitempty" doc:"Ask the next target too when the first has no token after this time. Whoever has the first token serves the request, the other is cut at once; it may cost something and is booked. Omit for no such thing."`
	// RetryMaybeRan is false by default.
	RetryMaybeRan bool  `yaml:"retry_maybe_ran" doc:"Also repeat a request whose connection broke, timed out or failed with 500, 502 or 504 before an answer came. The provider may have run it, so it may be charged twice."`
	Limits        Quota `yaml:"limits,omitempty" doc:"Limits of all requests for this model together."`
	Capture       bool  `yaml:"capture" doc:"Keep prompts and answers of this model."`
}

// Target is a provider and the name the model has there.
type Target struct {
	Provider string `yaml:"provider" required:"true" doc:"Name of a provider."`
	// Model is never empty in a loaded configuration. A * in it is there only when the
	// name and all aliases of the model have one; SubstituteName fills it in.
	Model  string `yaml:"model" doc:"Name of the model at the provider. A * in it is replaced by what the * in the public name stands for. Omit if it is the public name."`
	Weight int    `yaml:"weight" min:"1" max:"1000" doc:"Share of the requests among the targets of this model that have the same priority."`
	// Priority is 1 for those that are asked first.
	Priority int `yaml:"priority" min:"1" max:"100" doc:"Targets of the lowest number are asked first, the others when those cannot serve."`
	// MaxConcurrent is 0 where nothing bounds it.
	MaxConcurrent int `yaml:"max_concurrent,omitempty" min:"0" max:"1000000" doc:"Requests that this model may have at the provider at the same time, all public names together; others wait in the queue. 0 sets no bound."`
}

// upstream is the name of the model at the provider, with a * where the public name has
// one.
func (t Target) upstream(m Model) string {
	if t.Model != "" {
		return t.Model
	}
	return m.Name
}

// The values of Model.Balance.
const (
	BalanceWeight  = "weight"
	BalanceLatency = "latency"
)

// StickyKey is the Model.Sticky that goes by the client's key.
const StickyKey = "key"

// The values of Model.FallbackOn.
const (
	FallbackOnContextLength = "context_length"
	FallbackOnContent       = "content"
)

func (m *Model) setDefaults() {
	m.Limits.setDefaults()
	m.Balance = BalanceWeight
	m.FirstTokenFailover = true
}

func (t *Target) setDefaults() { t.Weight, t.Priority = 1, 1 }
