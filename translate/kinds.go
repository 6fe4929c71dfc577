package translate

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// ErrorKind is what a provider's error means for the choice of the next target.
type ErrorKind uint8

const (
	// KindOther is every error that is none of the others: whether another target would
	// do better is not known, and the request may have run.
	KindOther ErrorKind = iota
	// KindContextLength means that the prompt, or what it leaves for the answer, does not
	// fit into the model. The same model will always refuse it, one with more room may not.
	KindContextLength
	// KindContent means that a filter or policy of the provider refused the prompt or the answer.
	KindContent
	// KindOverloaded means that the request did not run, because a rate or quota is used up
	// or there is no capacity at the moment.
	KindOverloaded
)

// String is the kind in words for logs and metrics.
func (k ErrorKind) String() string {
	return [...]string{"other", "context_length", "content", "overloaded"}[k]
}

// OpenAI's codes for what routing acts on.
const (
	ContextLengthExceeded = "context_length_exceeded"
	ContentFiltered       = "content_filter"
)

// Kind is the kind of an error that a provider reported, also after it was put into the
// words of the hub. Of sluice's own errors it says nothing of use.
func (e *Error) Kind() ErrorKind { return KindOfError(e.Status, e.Code, e.Type, e.Message) }

// KindOfError is the kind of a provider's error, from what an error in the form of the hub
// says. status is 0 where there is none, in the middle of a stream. Codes and types count
// more than the status, and the status more than the message, which is searched for what
// providers are known to write: most have a code for nothing but rates.
func KindOfError(status int, code, errType, message string) ErrorKind {
	return fromWords(status, [...]string{code, errType, ""}, message)
}

func fromWords(status int, words [3]string, message string) ErrorKind {
	for _, word := range words {
		if kind := kindOfWord(status, word); kind != KindOther {
			return kind
		}
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return KindOverloaded
	case http.StatusRequestEntityTooLarge:
		return KindContextLength
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestTimeout, http.StatusConflict, http.StatusGatewayTimeout:
		return KindOther // whatever the words, they are about something else
	}
	return kindOfMessage(status, message)
}

// statusOverloaded is Anthropic's; no RFC has it.
const statusOverloaded = 529

// maxWord bounds the codes and types that are looked up.
const maxWord = 64

// kindOfWord looks up a code or a type. Numbers are statuses, which only count where
// there is no other.
func kindOfWord(status int, word string) ErrorKind {
	if word == "" || len(word) > maxWord {
		return KindOther
	}
	if n, err := strconv.Atoi(word); err == nil {
		if status == 0 && (n == http.StatusTooManyRequests || n == http.StatusServiceUnavailable || n == statusOverloaded) {
			return KindOverloaded
		}
		return KindOther
	}
	return wordKinds[strings.ToLower(word)]
}

// wordKinds are codes and types of providers, in lower case.
var wordKinds = map[string]ErrorKind{
	ContextLengthExceeded:               KindContextLength, // OpenAI and most that follow it
	"context_window_exceeded":           KindContextLength,
	"exceed_context_size_error":         KindContextLength, // llama.cpp
	"model_max_prompt_tokens_exceeded":  KindContextLength, // GitHub Copilot
	"tokens_limit_reached":              KindContextLength, // GitHub Models
	"too_many_prompt_tokens":            KindContextLength, // Perplexity
	"too_many_tokens":                   KindContextLength, // Cohere
	"error_limit":                       KindContextLength, // Cohere, as a finish reason
	"prompt_too_long":                   KindContextLength,
	ContentFiltered:                     KindContent, // Azure, Moonshot
	"content_policy_violation":          KindContent, // OpenAI
	"moderation_blocked":                KindContent, // OpenAI
	"responsibleaipolicyviolation":      KindContent, // Azure
	"data_inspection_failed":            KindContent, // Alibaba
	"datainspectionfailed":              KindContent,
	"sensitivecontentdetected":          KindContent, // Volcengine
	"inputtextsensitivecontentdetected": KindContent,
	"error_toxic":                       KindContent, // Cohere, as a finish reason
	"rate_limit_exceeded":               KindOverloaded,
	"rate_limit_error":                  KindOverloaded, // Anthropic
	"rate_limited":                      KindOverloaded,
	"ratelimitreached":                  KindOverloaded, // Azure
	"rate_limit_reached_error":          KindOverloaded, // Moonshot
	"too_many_requests":                 KindOverloaded,
	"requests":                          KindOverloaded, // OpenAI's types of rate limits
	"tokens":                            KindOverloaded,
	"insufficient_quota":                KindOverloaded,
	"exceeded_current_quota_error":      KindOverloaded, // Moonshot
	"overloaded":                        KindOverloaded,
	"overloaded_error":                  KindOverloaded, // Anthropic
	"engine_overloaded_error":           KindOverloaded, // Moonshot
	"server_is_overloaded":              KindOverloaded, // OpenAI
	"slow_down":                         KindOverloaded, // OpenAI
	"unavailable_error":                 KindOverloaded, // llama.cpp, while it loads the model
	"service_tier_capacity_exceeded":    KindOverloaded, // Mistral
	"nocapacity":                        KindOverloaded, // Azure
	"resource_exhausted":                KindOverloaded, // Google
	"unavailable":                       KindOverloaded,
	"throttlingexception":               KindOverloaded, // AWS
	"serviceunavailableexception":       KindOverloaded,
	"modelnotreadyexception":            KindOverloaded,
	"servicequotaexceededexception":     KindOverloaded,
}

// maxSearched bounds in bytes how much of a message is searched.
const maxSearched = 4 << 10

// phrase is what a message says in lower case: all of its parts.
type phrase []string

func (p phrase) in(message string) bool {
	for _, part := range p {
		if !strings.Contains(message, part) {
			return false
		}
	}
	return true
}

func anyOf(phrases []phrase, message string) bool {
	for _, p := range phrases {
		if p.in(message) {
			return true
		}
	}
	return false
}

// contextPhrases are how providers say that a prompt is too long. A bound on max_tokens
// alone is not among them.
var contextPhrases = []phrase{
	{"maximum context length"},             // OpenAI, vLLM, OpenRouter, DeepSeek, Mistral, Together, Llama on Bedrock
	{"max context length"},                 // Ollama
	{"longer than", "context length"},      // SGLang
	{"greater than", "context length"},     // LM Studio
	{"exceed", "context length"},           // SGLang, Ollama, Fireworks
	{"only", "context length"},             // LM Studio
	{"exceed", "context window"},           // OpenAI, MiniMax
	{"exceed", "context size"},             // llama.cpp
	{"exceed", "context limit"},            // Anthropic, with max_tokens
	{"prompt is too long"},                 // Anthropic, also on Vertex and Bedrock
	{"prompt too long"},                    // Ollama
	{"input is too long"},                  // Bedrock
	{"messages is too long"},               // Perplexity
	{"too many tokens"},                    // Cohere
	{"too many input tokens"},              // Bedrock
	{"maximum prompt length"},              // xAI
	{"exceed", "maximum number of tokens"}, // Gemini
	{"input token count", "only supports"}, // Vertex
	{"token count", "exceeds the limit"},   // GitHub Copilot
	{"exceed", "max input tokens"},         // Databricks
	{"exceed", "maximum input"},
	{"exceed", "model token limit"}, // Moonshot
	{"token limit exceeded"},
	{"prompt exceeds max length"},         // Z.ai
	{"range of input length"},             // Alibaba
	{"reduce the length of the messages"}, // Groq, OpenAI
	{"reduce the length of the input"},    // OpenAI, vLLM
	{"reduce the length of the prompt"},
	{"tokens + `max_new_tokens` must be"}, // TGI
	{"`inputs` must have less than"},      // TGI
	{"expected maxlength", "actual"},      // Titan on Bedrock
}

// contentPhrases are how providers say that they do not like a prompt or an answer.
var contentPhrases = []phrase{
	{"content management policy"},              // Azure
	{"content filter"},                         // Anthropic, Azure, Bedrock
	{"content policy"},                         // OpenAI
	{"violat", "usage polic"},                  // OpenAI
	{"violates usage guidelines"},              // xAI
	{"content exists risk"},                    // DeepSeek
	{"considered high risk"},                   // Moonshot
	{"inappropriate content"},                  // Alibaba
	{"sensitive content"},                      // Z.ai, MiniMax, Volcengine
	{"unsafe or sensitive"},                    // Z.ai
	{"input was flagged"},                      // OpenRouter
	{"requires moderation"},                    // OpenRouter
	{"rejected", "safety system"},              // OpenAI
	{"responsible ai"},                         // Vertex, Azure
	{"blocked due to security configurations"}, // Cloudflare
	{"blocked by", "guardrail"},
	{"content moderation"},
	{"prompt", "blocked", "safety"}, // Gemini
	{"prompt", "blocked", "prohibited"},
	{"prompt contains sensitive words"}, // Vertex
}

// overloadPhrases count only in a stream, whose status says nothing.
var overloadPhrases = []phrase{
	{"overloaded"}, {"rate limit"}, {"too many requests"}, {"at capacity"}, {"server busy"}, {"quota"},
}

func kindOfMessage(status int, message string) ErrorKind {
	message = strings.ToLower(message[:min(len(message), maxSearched)])
	switch {
	case message == "":
		return KindOther
	case status != http.StatusForbidden && anyOf(contextPhrases, message):
		return KindContextLength
	case anyOf(contentPhrases, message):
		return KindContent
	case status == 0 && anyOf(overloadPhrases, message):
		return KindOverloaded
	}
	return KindOther
}

// ClassifyError is the kind of an error answer in any shape that ReshapeError knows.
func ClassifyError(status int, contentType string, body []byte) ErrorKind {
	return classify(status, gjson.ParseBytes(ReshapeError(status, contentType, body)).Get("error"))
}

// ClassifyErrorEvent is the kind of an error that came as the data of an event in a stream
// of status 200: an error object, in whatever shape, the response.failed of the Responses
// API, or an exception of AWS. It is KindOther for everything else.
func ClassifyErrorEvent(data []byte) ErrorKind {
	if !isJSON(data) {
		return KindOther
	}
	root := gjson.ParseBytes(data)
	if root.IsArray() {
		root = root.Get("0")
	}
	if inner := root.Get("response.error"); inner.IsObject() {
		return classify(0, inner)
	}
	if inner := root.Get("error"); inner.IsObject() {
		return classify(0, inner)
	}
	var exception ErrorKind
	root.ForEach(func(name, inner gjson.Result) bool {
		if strings.HasSuffix(name.Str, "Exception") && inner.IsObject() {
			exception = fromWords(0, [...]string{name.Str, "", ""}, inner.Get("message").String())
		}
		return exception == KindOther
	})
	if exception != KindOther {
		return exception
	}
	return classify(0, gjson.ParseBytes(ReshapeError(0, "", data)).Get("error"))
}

// classify is the kind of an error object. Beside OpenAI's members it knows the status in
// words or numbers that Google, Groq and others state, the inner code of Azure, and the
// error that OpenRouter got from somebody else.
func classify(status int, object gjson.Result) ErrorKind {
	word := object.Get("innererror.code").String()
	for _, name := range [...]string{"status", "status_code"} {
		if v := object.Get(name); word == "" && v.Type != gjson.Null && !v.IsObject() {
			word = v.String()
		}
	}
	message := textOf(object.Get("message"))
	if raw := textOf(object.Get("metadata.raw")); raw != "" {
		message += " " + raw
	}
	return fromWords(status, [...]string{object.Get("code").String(), object.Get("type").String(), word}, message)
}
