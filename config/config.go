// Package config reads config.yaml.
//
// It is the only package that knows YAML, environment references and the JSON
// schema of the file. A configuration is validated once, when it is loaded, and
// every problem is reported together with its line; after that the rest of the
// program trusts the values. A loaded Config is not modified any more and may be
// shared between goroutines.
package config

// Origin says where the providers of a configuration came from.
type Origin string

// The origins a configuration can have.
const (
	// OriginFile means that the providers are written in a configuration file.
	OriginFile Origin = "file"
	// OriginEnvironment means that the providers follow from vendor variables
	// such as OPENAI_API_KEY.
	OriginEnvironment Origin = "environment"
	// OriginSimulator means that nothing was configured and the built-in
	// simulator answers.
	OriginSimulator Origin = "simulator"
)

// Config is the whole configuration. Its defaults are those of Default. The tag live
// says whether a reload can change a value and all that is in it; see FixedChanges.
type Config struct {
	// Listen is the address of the API listener: "host:port" or "unix:/path".
	Listen string `yaml:"listen" live:"false" doc:"Address of the API listener: host:port, :port, or unix:/path/to.sock."`
	// TLS is nil when the API listener speaks plain HTTP.
	TLS *TLS `yaml:"tls,omitempty" live:"false" doc:"Serve the API over TLS with this certificate. Omit for plain HTTP."`
	// HalfClose is HalfCloseGone or HalfCloseFinish.
	HalfClose string `yaml:"half_close" live:"false" enum:"gone,finish" doc:"What a client that shuts down its sending side means: gone (it left, stop the upstream) or finish (keep answering)."`
	// ResponseModel is ResponseModelPublic or ResponseModelUpstream.
	ResponseModel string `yaml:"response_model" live:"true" enum:"public,upstream" doc:"Model name in answers: public (the name the client asked for) or upstream (the name the provider reports)."`
	// KeepAlive is the interval of SSE comments on a silent stream; 0 sends none.
	KeepAlive Duration `yaml:"keep_alive" live:"true" doc:"Interval of SSE comments on a silent stream. 0 sends none."`
	Admin     Admin    `yaml:"admin" live:"false" doc:"The admin listener: metrics and probes."`
	// Providers holds at least one entry in a loaded configuration.
	Providers []Provider `yaml:"providers" live:"true" doc:"Vendor endpoints. Omit to take them from OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and COHERE_API_KEY."`
	// Models may be empty: any model name then goes to the first provider, or
	// to the provider that a "provider/model" name asks for.
	Models   []Model  `yaml:"models" live:"true" doc:"Public model names. Omit to send any model name to the first provider, or to the one named by provider/model."`
	Keys     []Key    `yaml:"keys" live:"true" doc:"Keys that clients may use. Omit to let anyone in who can reach the listener."`
	Timeouts Timeouts `yaml:"timeouts" live:"true" doc:"Time limits. 0 means no limit, except for drain."`
	Limits   Limits   `yaml:"limits" live:"true" doc:"Size limits, and limits of connections."`
	Retry    Retry    `yaml:"retry" live:"true" doc:"When another upstream call is made for a request. It never is after a byte of the answer has reached the client."`
	Breaker  Breaker  `yaml:"breaker" live:"true" doc:"When a target counts as broken. It is then left to the others until it has proved itself again."`
	Queue    Queue    `yaml:"queue" live:"true" doc:"Requests that wait for a target that has all the requests it may have (max_concurrent)."`
	Log      Log      `yaml:"log" doc:"Logging, to standard error."`
	// Ledger is the URL of the books, empty for the SQLite file of LedgerURL.
	Ledger SecretURL `yaml:"ledger,omitempty" live:"false" doc:"Where the record of every exchange is kept: sqlite:///path/ledger.db, postgres://user:password@host/database for several replicas, or memory for the last records only. Default: the SQLite file ledger.db in the state folder of the user, see docs/configuration.md."`
	// OnLedgerFailure is one of the OnLedgerFailure constants.
	OnLedgerFailure string `yaml:"on_ledger_failure" live:"true" enum:"auto,refuse,allow" doc:"While the ledger cannot be written: refuse new requests (503), allow them and keep their records in the spool until it can, or auto: refuse for keys with a hard budget and allow for the others."`
	// Spool bounds what is kept beside the ledger while it cannot be written.
	Spool Size `yaml:"spool" live:"false" min:"1048576" max:"68719476736" doc:"Room for the records that wait while the ledger cannot be written, in memory and on disk. New requests are refused when it is full."`
	// SpoolDir is empty for the folder of the SQLite file, or the state folder.
	SpoolDir string `yaml:"spool_dir,omitempty" live:"false" doc:"Folder for these records. Default: that of the SQLite file, with PostgreSQL the state folder of the user."`
	// Keep is 0 when records are kept for ever.
	Keep Duration `yaml:"keep" live:"false" doc:"How long records are kept, as in 90d. The sums of each day stay. 0 keeps them for ever."`
	// Records is the number of finished exchanges kept in memory.
	Records int     `yaml:"records" live:"false" min:"1" max:"10000000" doc:"How many finished exchanges are remembered in memory, for the API to find at once."`
	Capture Capture `yaml:"capture" doc:"What is kept of prompts and answers where a key or a model has capture: true. Nothing is elsewhere."`
	Prices  Prices  `yaml:"prices" live:"true" doc:"What tokens cost. A built-in table has the main models."`
	// Redis is empty when limits are those of this process alone.
	Redis SecretURL `yaml:"redis,omitempty" live:"false" doc:"URL of a Redis or Valkey server that replicas share limits, the list of requests and cancels through: redis://user:password@host:6379/0, or rediss:// with TLS. Omit for a single process."`
	// Extensions tells whether answers may hold members that the client's dialect
	// does not have.
	Extensions bool `yaml:"extensions" live:"true" doc:"Put what the client's dialect has no place for into answers, under names of its own: sluice, extra_content, images. Turn off for strict clients."`
	// ThoughtMemory is 0 when nothing is remembered.
	ThoughtMemory Size `yaml:"thought_memory" live:"false" max:"2147483648" doc:"Memory for the signatures of thoughts and tool calls, which providers want back in the next request and most clients drop. 0 remembers none."`
	// ModelData is empty when only the built-in facts are used.
	ModelData string `yaml:"model_data,omitempty" live:"true" doc:"JSON file that extends or replaces what is known of models: limits, reasoning, refused parameters."`

	// Origin tells where Providers came from.
	Origin Origin `yaml:"-" json:"-"`
	// StateFolder is where the files of this user belong that are to survive a
	// restart; empty when there is no such place. StateDir and LedgerURL use it.
	StateFolder string `yaml:"-" json:"-"`
}

// The values of Config.HalfClose.
const (
	HalfCloseGone   = "gone"
	HalfCloseFinish = "finish"
)

// The values of Config.ResponseModel.
const (
	ResponseModelPublic   = "public"
	ResponseModelUpstream = "upstream"
)

// TLS names the certificate of the API listener, as PEM files.
type TLS struct {
	CertFile string `yaml:"cert_file" required:"true" doc:"PEM file with the certificate chain."`
	KeyFile  string `yaml:"key_file" required:"true" doc:"PEM file with the private key."`
}

// Timeouts are the time limits of an exchange and its connections.
type Timeouts struct {
	Connect        Duration `yaml:"connect" doc:"To a provider: name lookup, TCP and TLS together."`
	FirstToken     Duration `yaml:"first_token" doc:"From the sent request to the first token."`
	Idle           Duration `yaml:"idle" doc:"Longest silence of a provider within an answer."`
	Total          Duration `yaml:"total" doc:"Whole exchange."`
	ClientStall    Duration `yaml:"client_stall" doc:"Longest time a client may accept nothing of what is waiting for it."`
	Drain          Duration `yaml:"drain" doc:"How long streams may go on after a stop signal. 0 ends them at once."`
	RequestHeaders Duration `yaml:"request_headers" doc:"For a client to send its request headers."`
	RequestBody    Duration `yaml:"request_body" doc:"For a client to send its request body, plus a second for every KiB."`
	KeepAlive      Duration `yaml:"keep_alive" doc:"How long an idle client connection is kept open."`
}

// Limits are the size limits of an exchange.
type Limits struct {
	MaxBody   Size `yaml:"max_body" min:"1" max:"2147483648" doc:"Largest request body. Larger ones get 413."`
	MaxHeader Size `yaml:"max_header" min:"1024" max:"1048576" doc:"Largest request head. Larger ones get 431."`
	MaxAnswer Size `yaml:"max_answer" min:"1024" max:"2147483648" doc:"Largest answer that is not streamed; it is held in memory."`
	// Bodies is 0 for a share of the memory limit of the process.
	Bodies Size `yaml:"bodies,omitempty" doc:"Memory for the bodies of all requests that are open, each counted twice. Requests beyond it get 503. Default: half of the memory limit of the process (GOMEMLIMIT, or of the control group), without one 1 GiB."`
	// Connections is 0 for what the descriptors allow.
	Connections      int `yaml:"connections,omitempty" min:"0" max:"10000000" doc:"Client connections at the same time; more are closed at once. Default: as many as the limit of open files allows."`
	ConnectionsPerIP int `yaml:"connections_per_ip,omitempty" min:"0" max:"10000000" doc:"Connections of one client address at the same time; more are closed at once. 0 sets no bound."`
}

// Log configures logging.
type Log struct {
	Level  string `yaml:"level" live:"true" enum:"debug,info,warn,error" doc:"Least severe level that is logged."`
	Format string `yaml:"format" live:"false" enum:"auto,json,text" doc:"json, text, or auto: text on a terminal and json elsewhere."`
}
