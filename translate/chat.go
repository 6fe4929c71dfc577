package translate

import "github.com/sluicehq/sluice/internal/jsonview"

// Chat is a chat completion request taken apart, for dialects that have to write it
// anew. Everything in it is a view of the body it was read from. Members that are null,
// or say what is the case anyway (n: 1, store: false), count as absent.
//
// Source of the members: OpenAI's API reference, "Create chat completion".
type Chat struct {
	Model    string
	Stream   bool
	Messages []Message
	Tools    []Tool
	Choice   ToolChoice
	Format   Format
	Stop     []jsonview.Value // strings
	N        int              // at least 1

	MaxTokens int64 // of max_completion_tokens, else of max_tokens; 0 for no bound
	// ParallelTools is false if the client asked for one tool call at a time.
	ParallelTools bool
	Effort        string // reasoning_effort, empty if absent
	Logprobs      bool
	TopLogprobs   int64

	// Members with a meaning that differs from provider to provider, as they stand. A
	// Value that does not exist was not sent.
	Temperature, TopP, FrequencyPenalty, PresencePenalty jsonview.Value // numbers
	Seed                                                 jsonview.Value // a whole number
	User, SafetyIdentifier, ServiceTier                  jsonview.Value // strings
	Modalities, Audio                                    jsonview.Value

	// Unknown are the top-level members that OpenAI does not have. They are meant for
	// the provider, and go to the top level of its request unchanged.
	Unknown []Member

	present []string // the names of known members that say something, in order
	// stray is where there are members that OpenAI does not have, below the top level:
	// the first place of each name, of at most maxStray.
	stray []string
	// repeated is where a result was left out because its call has another one.
	repeated string
}

// Member is a named value.
type Member struct {
	Name  string
	Value jsonview.Value
}

// Role is who speaks in a message.
type Role string

// The roles. RoleSystem also stands for "developer", RoleTool also for "function".
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Message is one message of a conversation.
type Message struct {
	Role  Role
	Name  string // decoded, of the participant or function
	Parts []Part // content; a string is one part, and empty strings are none
	// Calls are an assistant's tool calls.
	Calls []AssistantCall
	// CallID is the call that a tool message answers, decoded.
	CallID string
	// Reasoning is the text of reasoning_content (or reasoning) as a JSON string, for
	// providers that take their own reasoning back.
	Reasoning jsonview.Value
	// Extra is extra_content: what Sink.Carry attached to an earlier answer.
	Extra        jsonview.Value
	CacheControl jsonview.Value // Anthropic's extension, an object
	Prefix       bool           // an assistant message to be continued (DeepSeek's and Mistral's extension)
	// Path is where the message stands, for errors: messages.3.
	Path string
}

// PartKind is what a content part holds.
type PartKind uint8

// The kinds of parts.
const (
	PartText PartKind = iota
	PartRefusal
	PartImage
	PartAudio
	PartFile
)

// Part is one piece of a message's content.
type Part struct {
	Kind PartKind
	// Text is the text of PartText and PartRefusal, a JSON string that is not empty.
	Text jsonview.Value
	// URL of an image, decoded, unless it is a data URI.
	URL string
	// Media and Data are the media type, in lower case, and the base64 text of a data
	// URI, of audio (audio/wav, audio/mp3) or of a file's file_data.
	Media, Data string
	// FileID and FileName belong to PartFile.
	FileID, FileName string
	Detail           string // of an image: low, high, auto or empty
	CacheControl     jsonview.Value
	Path             string // messages.3.content.0
}

// AssistantCall is a tool call that an earlier answer made.
type AssistantCall struct {
	ID, Name string // decoded
	// Arguments is the JSON text of the arguments, decoded; it may be no JSON.
	Arguments string
	Extra     jsonview.Value // extra_content of the call
	Path      string         // messages.3.tool_calls.0
}

// Tool is a function that the model may call.
type Tool struct {
	Name         string         // decoded
	Description  jsonview.Value // a string, if it exists
	Parameters   jsonview.Value // a JSON Schema object, if it exists
	Strict       jsonview.Value // true or false, if it exists
	CacheControl jsonview.Value
	Path         string // tools.2
}

// ToolChoice is which tool the model is to use. Empty Mode means that the client did not say.
type ToolChoice struct {
	Mode string // "", auto, none, required or function
	Name string // of the function
}

// Format is the form of the answer. Empty Type means that the client did not ask for one, or for text.
type Format struct {
	Type        string // "", json_object or json_schema
	Name        string
	Description jsonview.Value
	Schema      jsonview.Value // an object, if it exists
	Strict      jsonview.Value
}
