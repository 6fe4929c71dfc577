package config

// The values of Config.OnLedgerFailure.
const (
	OnLedgerFailureAuto   = "auto"
	OnLedgerFailureRefuse = "refuse"
	OnLedgerFailureAllow  = "allow"
)

// LedgerMemory is the Ledger that has no disk: the last records are in memory.
const LedgerMemory = "memory:"

// Capture bounds what is kept of prompts and answers.
type Capture struct {
	Keep     Duration `yaml:"keep" live:"false" doc:"How long prompts and answers are kept, as in 7d."`
	MaxBytes Size     `yaml:"max_bytes" live:"true" min:"1" max:"16777216" doc:"Most that is kept of one prompt, and of one answer; what is longer is cut."`
}

// Prices say what tokens cost, besides the built-in table.
type Prices struct {
	// File is empty when there is none.
	File string `yaml:"file,omitempty" doc:"JSON file with prices, in the form of LiteLLM's table or of models.dev. sluice prices fetch gets one. It is read at the start and at every reload."`
	// Overrides go before File, which goes before the built-in table.
	Overrides []Price `yaml:"overrides,omitempty" doc:"Prices of your own. They go before those of the file and the built-in ones."`
}

// Price is what a model costs, in USD for a million tokens.
type Price struct {
	Provider string `yaml:"provider,omitempty" doc:"Name of a provider. Omit for all."`
	Model    string `yaml:"model" required:"true" doc:"The model's name at the provider; a * stands for any run of characters."`
	// ServiceTier is empty for the normal one.
	ServiceTier     string `yaml:"service_tier,omitempty" doc:"What the provider calls the way it serves: batch, flex, priority. Omit for the normal one."`
	AboveInput      int    `yaml:"above_input,omitempty" min:"0" max:"1000000000" doc:"The price holds for requests with more input tokens than this."`
	Input           Rate   `yaml:"input" required:"true" doc:"USD for a million input tokens."`
	Output          Rate   `yaml:"output" required:"true" doc:"USD for a million output tokens."`
	InputCached     *Rate  `yaml:"input_cached,omitempty" doc:"For input read from a cache. Default: input."`
	InputCacheWrite *Rate  `yaml:"input_cache_write,omitempty" doc:"For input written to a cache. Default: input."`
	InputAudio      *Rate  `yaml:"input_audio,omitempty" doc:"For audio in the input. Default: input."`
	OutputReasoning *Rate  `yaml:"output_reasoning,omitempty" doc:"For reasoning. Default: output."`
	OutputAudio     *Rate  `yaml:"output_audio,omitempty" doc:"For audio in the output. Default: output."`
}

// Quota bounds the use of a key, a model or a provider. Zero values bound nothing.
type Quota struct {
	RequestsPerMinute int `yaml:"requests_per_minute,omitempty" min:"0" max:"1000000000" doc:"Requests in any minute; they may come at once."`
	TokensPerMinute   int `yaml:"tokens_per_minute,omitempty" min:"0" max:"1000000000000" doc:"Input and output tokens in any minute. What a request may use is reserved when it comes and settled when it ends."`
	Streams           int `yaml:"streams,omitempty" min:"0" max:"1000000000" doc:"Requests at the same time."`
	MaxOutputTokens   int `yaml:"max_output_tokens,omitempty" min:"0" max:"1000000000" doc:"Output tokens of one request. One that asks for more is refused; one that asks for no limit is cut there."`
	// MaxDuration is 0 when there is none.
	MaxDuration Duration `yaml:"max_duration,omitempty" doc:"Time of one request; then its stream is cut, with the outcome limit."`
	Budgets     []Budget `yaml:"budgets,omitempty" doc:"Spending limits."`
	// Fail says what holds for the rates and the streams while Redis is down.
	Fail string `yaml:"fail,omitempty" enum:"open,closed" doc:"While the shared counters cannot be reached: open (count in this process alone) or closed (refuse). Budgets have their own."`
}

// Budget is a spending limit of a period.
type Budget struct {
	// One of USD and Tokens is not 0.
	USD    Rate   `yaml:"usd,omitempty" doc:"Spending in USD. Give this or tokens."`
	Tokens int    `yaml:"tokens,omitempty" min:"0" max:"1000000000000000" doc:"Input and output tokens."`
	Per    string `yaml:"per" required:"true" enum:"day,month,total" doc:"Period, in UTC: day, month or total."`
	// Hard budgets also end the streams that would cross them.
	Hard bool `yaml:"hard" doc:"Also end running streams that would cross the budget. A budget that is not hard only refuses new requests once it is spent."`
	// Fail is empty for closed if the budget is hard, else open.
	Fail string `yaml:"fail,omitempty" enum:"open,closed" doc:"While the shared counters cannot be reached: open (count in this process alone) or closed (refuse with 503). Default: closed for hard budgets, else open."`
}

// Zero reports that nothing is bounded.
func (q Quota) Zero() bool {
	return q.RequestsPerMinute == 0 && q.TokensPerMinute == 0 && q.Streams == 0 &&
		q.MaxOutputTokens == 0 && q.MaxDuration == 0 && len(q.Budgets) == 0
}

// IsZero reports that a dump need not show the quota.
func (q Quota) IsZero() bool { return q.Zero() && q.Fail != FailClosed }

// HasHardBudget reports whether one of the budgets is hard.
func (q Quota) HasHardBudget() bool {
	for _, b := range q.Budgets {
		if b.Hard {
			return true
		}
	}
	return false
}

func (c *Capture) setDefaults() {
	*c = Capture{Keep: Duration(7 * day), MaxBytes: 64 * KiB}
}

func (q *Quota) setDefaults() { q.Fail = FailOpen }

func (b *Budget) setDefaults() { b.Hard = true }

// The values of Quota.Fail and Budget.Fail.
const (
	FailOpen   = "open"
	FailClosed = "closed"
)
