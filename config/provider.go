package config

import (
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Provider is one vendor endpoint.
type Provider struct {
	Name string `yaml:"name" required:"true" doc:"Name used in targets, labels and provider/model names. Letters, digits, dot, dash, underscore."`
	// Dialect is one of the Dialect constants.
	Dialect string `yaml:"dialect" required:"true" enum:"openai,azure,anthropic,gemini,cohere,ollama,bedrock,sim" doc:"Wire format: openai (chat completions and whatever speaks it), azure (Azure OpenAI), anthropic (Messages), gemini (generateContent), cohere (v2 chat), ollama (its own API), bedrock (Converse) or sim (the built-in simulator)."`
	// Platform is one of the Platform constants.
	Platform string `yaml:"platform,omitempty" enum:"vertex,bedrock" doc:"Where the dialect is spoken when it is not at the vendor itself: vertex (Google Cloud; dialects anthropic and gemini) or bedrock (Amazon; dialect anthropic)."`
	// Project and Region are filled in from the environment when a provider that
	// needs them has none in the file.
	Project string `yaml:"project,omitempty" doc:"Google Cloud project, on vertex. Default: GOOGLE_CLOUD_PROJECT."`
	Region  string `yaml:"region,omitempty" doc:"Region of the cloud: on vertex also global, us or eu (default: GOOGLE_CLOUD_LOCATION or GOOGLE_CLOUD_REGION); on bedrock, default: AWS_REGION or AWS_DEFAULT_REGION."`
	// APIVersion is empty for Azure's unversioned form.
	APIVersion string `yaml:"api_version,omitempty" doc:"Azure: version of the deployments API. Omit for its /openai/v1 form, which has none."`
	// BaseURL is what was configured; Endpoint gives the URL to use.
	BaseURL string `yaml:"base_url,omitempty" doc:"Base URL; for openai and azure required, for other dialects the vendor's own by default. One with a path is used as it is; one without gets the usual prefix of the dialect (/v1, for gemini /v1beta)."`
	// APIKey is empty where another credential is used; Credential tells which.
	APIKey Secret `yaml:"api_key,omitempty" doc:"Credential for the provider. Omit to pass the client's own credential through; on vertex and bedrock, to use those of the machine."`
	// Headers are added to every request to the provider.
	Headers map[string]Secret `yaml:"headers,omitempty" doc:"Extra request headers for the provider."`
	// DenyPrivate refuses addresses that are not public, after the name is resolved.
	DenyPrivate bool   `yaml:"deny_private" doc:"Never connect to loopback, private, link-local and other addresses that are not public, whatever the name of the provider resolves to."`
	CAFile      string `yaml:"ca_file,omitempty" doc:"PEM file with certificate authorities to trust besides the system's."`
	// IncludeUsage is never nil in a loaded configuration for the dialects that know
	// it, and always nil for the others.
	IncludeUsage *bool `yaml:"include_usage,omitempty" doc:"Ask for the usage of streams (stream_options.include_usage) when the client did not. Turn off for servers that refuse it."`
	// ContinuousUsage is nil when the server is to be recognized; ContinuousUsageSetting
	// tells.
	ContinuousUsage *bool `yaml:"continuous_usage,omitempty" doc:"Ask for running usage in every chunk (continuous_usage_stats), so that a cut stream has exact numbers. Default: asked for when the server says that it is vLLM or SGLang."`
	// UsageLookup is nil for the default of the host; LooksUpUsage tells.
	UsageLookup *bool `yaml:"usage_lookup,omitempty" doc:"After a cut, ask the provider what the request has used: GET generation?id= as OpenRouter has it. Default: true for openrouter.ai, else false."`
	// Quirks holds Quirk constants.
	Quirks   []string `yaml:"quirks,omitempty" enum:"short_call_ids,no_developer_role,max_tokens,max_completion_tokens,drop_reasoning,think_tags" doc:"What is peculiar about a server that speaks openai: short_call_ids (tool-call ids of nine letters and digits), no_developer_role (developer messages become system), max_tokens or max_completion_tokens (the only name of the limit it takes), drop_reasoning (refuses reasoning_content in messages), think_tags (its reasoning stands in the text between <think> tags)."`
	IdleConn Duration `yaml:"idle_conn" doc:"How long an idle connection to the provider is kept for reuse. Stay below the provider's own limit. 0 keeps none."`
	Limits   Quota    `yaml:"limits,omitempty" doc:"Limits of all requests to this provider together."`
	// MayBill is one of the MayBill constants, or empty for what is known of the
	// provider; Billing tells.
	MayBill string `yaml:"may_bill,omitempty" enum:"none,partial,full,unknown" doc:"What the provider charges for a cut request: none, partial (what was generated), full (the whole answer) or unknown. Default: what is known of the provider, see docs/configuration.md."`
}

// The dialects a provider can speak.
const (
	DialectOpenAI    = "openai"    // chat completions
	DialectAzure     = "azure"     // chat completions as Azure OpenAI has them
	DialectAnthropic = "anthropic" // Messages
	DialectGemini    = "gemini"    // generateContent
	DialectCohere    = "cohere"    // v2 chat
	DialectOllama    = "ollama"    // Ollama's own chat API
	DialectBedrock   = "bedrock"   // Converse
	DialectSim       = "sim"       // the built-in simulator, which speaks openai
)

// The values of Provider.Platform.
const (
	PlatformNone    = ""        // the vendor's own API
	PlatformVertex  = "vertex"  // Google Cloud Vertex AI
	PlatformBedrock = "bedrock" // Amazon Bedrock's InvokeModel
)

// The values of Provider.Quirks.
const (
	QuirkShortCallIDs        = "short_call_ids"        // tool-call ids must be nine letters and digits
	QuirkNoDeveloperRole     = "no_developer_role"     // developer messages become system messages
	QuirkMaxTokens           = "max_tokens"            // takes only max_tokens
	QuirkMaxCompletionTokens = "max_completion_tokens" // takes only max_completion_tokens
	QuirkDropReasoning       = "drop_reasoning"        // refuses reasoning_content in messages
	QuirkThinkTags           = "think_tags"            // reasoning stands in the text between <think> tags
)

// The values of Provider.MayBill.
const (
	MayBillNone    = "none"
	MayBillPartial = "partial"
	MayBillFull    = "full"
	MayBillUnknown = "unknown"
)

// AsksUsage reports whether sluice asks this provider for the usage of streams.
func (p Provider) AsksUsage() bool { return p.IncludeUsage == nil || *p.IncludeUsage }

// HasQuirk reports whether one of the Quirk constants is configured.
func (p Provider) HasQuirk(quirk string) bool { return slices.Contains(p.Quirks, quirk) }

// Credential says what proves to a provider who is calling.
type Credential string

// The credentials a provider can be called with.
const (
	// CredentialNone is that of the simulator.
	CredentialNone Credential = "none"
	// CredentialClient is the client's own.
	CredentialClient Credential = "client"
	// CredentialKey is APIKey, in the field KeyHeader.
	CredentialKey Credential = "key"
	// CredentialHeaders means that Headers hold the credential.
	CredentialHeaders Credential = "headers"
	// CredentialAWS is a signature made with the AWS credentials of the machine.
	CredentialAWS Credential = "aws"
	// CredentialGoogle is a token from Google's application default credentials.
	CredentialGoogle Credential = "google"
)

// Credential tells what requests to the provider are authenticated with.
func (p Provider) Credential() Credential {
	switch {
	case p.Dialect == DialectSim:
		return CredentialNone
	case p.APIKey != "":
		return CredentialKey
	case p.setsHeader("Authorization"), p.setsHeader(p.KeyHeader()):
		return CredentialHeaders
	case p.OnBedrock():
		return CredentialAWS
	case p.Platform == PlatformVertex:
		return CredentialGoogle
	}
	return CredentialClient
}

// KeyHeader is the canonical name of the header that a key for the provider goes
// into. In Authorization it is a bearer token, elsewhere it stands alone.
func (p Provider) KeyHeader() string {
	switch {
	case p.OnBedrock():
		return "Authorization"
	case p.Platform == PlatformVertex:
		return "X-Goog-Api-Key"
	}
	if name := dialects[p.Dialect].keyHeader; name != "" {
		return name
	}
	return "Authorization"
}

// OnBedrock reports whether the provider is Amazon Bedrock, in either of its APIs.
func (p Provider) OnBedrock() bool {
	return p.Dialect == DialectBedrock || p.Platform == PlatformBedrock
}

// setsHeader reports whether Headers hold a header, in any case.
func (p Provider) setsHeader(name string) bool {
	for k := range p.Headers {
		if textproto.CanonicalMIMEHeaderKey(k) == name {
			return true
		}
	}
	return false
}

// Endpoint returns the URL that the endpoints of the dialect are appended to,
// without a trailing slash: the base URL as it is when it has a path, and with
// the usual prefix of the dialect when it has none; the vendor's own when none is
// configured. It is empty for the simulator, which has no address, and where the
// configuration does not say enough.
func (p Provider) Endpoint() string {
	base := p.BaseURL
	if base == "" {
		base = p.vendorURL()
	}
	u, err := url.Parse(base)
	if p.Dialect == DialectSim || err != nil || base == "" {
		return ""
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = p.prefix(), ""
	}
	return strings.TrimRight(u.String(), "/")
}

// vendorURL is the base URL when none is configured, without the usual prefix.
func (p Provider) vendorURL() string {
	switch {
	case p.OnBedrock() && p.Region != "":
		return "https://bedrock-runtime." + p.Region + ".amazonaws.com"
	case p.Platform == PlatformVertex && p.Region != "":
		return "https://" + vertexHost(p.Region)
	case p.OnBedrock(), p.Platform != PlatformNone:
		return ""
	}
	return dialects[p.Dialect].host
}

// vertexHost follows the rules of Google's own clients: multi-regions have hosts of
// another form than regions.
func vertexHost(region string) string {
	switch region {
	case "global":
		return "aiplatform.googleapis.com"
	case "us", "eu":
		return "aiplatform." + region + ".rep.googleapis.com"
	}
	return region + "-aiplatform.googleapis.com"
}

// prefix is what follows the host in the base URL of the vendor.
func (p Provider) prefix() string {
	switch {
	case p.OnBedrock():
		return ""
	case p.Platform == PlatformVertex:
		return "/v1"
	case p.Dialect == DialectAzure && p.APIVersion != "":
		return "/openai"
	}
	return dialects[p.Dialect].prefix
}
