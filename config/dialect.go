package config

// dialect is what the configuration has to know of a wire format.
type dialect struct {
	// host is the vendor's base URL without its prefix; empty where there is no
	// vendor, or where its host depends on the account.
	host string
	// prefix is what usually follows the host.
	prefix string
	// keyHeader is the header a key goes into; empty for a bearer token.
	keyHeader string
	// platforms are where else than at the vendor the dialect is spoken.
	platforms []string
	// chat means that it is a form of OpenAI's chat completions, whose streams
	// report usage when they are asked to.
	chat bool
	// example is a base URL, for problems.
	example string
	// operations end the URL of an operation rather than a base URL.
	operations []string
	// compatible ends the base URL at which the vendor speaks openai instead.
	compatible string
}

var chatOperations = []string{"/chat/completions", "/completions", "/embeddings", "/models", "/responses"}

var dialects = map[string]dialect{
	DialectOpenAI: {
		prefix: "/v1", chat: true, example: "https://api.openai.com/v1", operations: chatOperations,
	},
	DialectAzure: {
		prefix: "/openai/v1", keyHeader: "Api-Key", chat: true, example: "https://NAME.openai.azure.com", operations: chatOperations,
	},
	DialectAnthropic: {
		host: "https://api.anthropic.com", prefix: "/v1", keyHeader: "X-Api-Key",
		platforms: []string{PlatformVertex, PlatformBedrock}, operations: []string{"/messages", "/models"},
	},
	DialectGemini: {
		host: "https://generativelanguage.googleapis.com", prefix: "/v1beta", keyHeader: "X-Goog-Api-Key",
		platforms: []string{PlatformVertex}, operations: []string{"/models"}, compatible: "/openai",
	},
	DialectCohere: {
		host: "https://api.cohere.com", prefix: "/v2", operations: []string{"/chat", "/models"}, compatible: "/compatibility/v1",
	},
	DialectOllama: {
		host: "http://127.0.0.1:11434", prefix: "/api", operations: []string{"/chat", "/generate", "/tags"}, compatible: "/v1",
	},
	DialectBedrock: {operations: []string{"/converse", "/converse-stream", "/model"}},
	DialectSim:     {chat: true},
}
