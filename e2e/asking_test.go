//go:build e2e

package e2e

// asked is something a client may ask for, as members of a chat request.
type asked struct {
	name, members string
	only          string // the provider it is for; default: all
	refused       string // providers and models for which it is refused
}

func userParts(parts string) string {
	return `"messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},` + parts + `]}]`
}

func talk(messages string) string { return oneTool + `,"messages":[` + messages + `]` }

const (
	oneTool  = `"tools":[{"type":"function","function":{"name":"get_weather","description":"The weather in a city.","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
	askedFor = `{"role":"user","content":"What is the weather in Oslo?"}`
	called   = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]}`
	result   = `{"role":"tool","tool_call_id":"call_1","content":"rain"}`
	form     = `{"type":"object","properties":{"city":{"type":"string"},"rain":{"type":"boolean"}},"required":["city","rain"],"additionalProperties":false}`
	// richForm has what schemas made from classes have.
	richForm = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Trip","type":"object","properties":{` +
		`"days":{"type":"array","items":{"$ref":"#/$defs/Day"},"minItems":1,"maxItems":7},` +
		`"budget":{"anyOf":[{"type":"number","exclusiveMinimum":0},{"type":"null"}],"default":null},` +
		`"mode":{"enum":["train","bus"],"type":"string"},"kind":{"const":"trip"},"note":{"type":["string","null"],"maxLength":80,"pattern":"^[a-z]*$"},` +
		`"tags":{"type":"object","additionalProperties":{"type":"string"}}},"required":["days","budget","mode","kind","note","tags"],"additionalProperties":false,` +
		`"$defs":{"Day":{"type":"object","properties":{"city":{"type":"string","description":"Where to be."},"on":{"type":"string","format":"date"}},"required":["city","on"],"additionalProperties":false}}}`
	pixel = `data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==`
)

// nowhereElse are the providers that do not speak OpenAI's dialect.
const nowhereElse = "anthropic anthropic_on_bedrock anthropic_on_vertex gemini gemini_on_vertex cohere ollama bedrock"

// asking is everything that is asked of every model.
var asking = []asked{
	{name: "text", members: `"temperature":1`},
	{name: "everything default", members: `"temperature":1,"top_p":1,"n":1,"presence_penalty":0,"frequency_penalty":0,"stop":null,"logprobs":false,"store":false,"tool_choice":"auto","response_format":{"type":"text"},"service_tier":"auto","modalities":["text"]`},
	{name: "names and parts", members: `"messages":[{"role":"system","content":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}]},{"role":"user","name":"ann","content":[{"type":"text","text":"Hello \"you\" \\ \u00e9 \ud83d\ude00 \u0001"}]}]`},
	{name: "system and developer", members: `"messages":[{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"c"}]`},
	{name: "a system message in the middle", members: `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"system","content":"c"},{"role":"user","content":"d"}]`},
	{name: "many turns", members: `"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"},{"role":"assistant","content":[{"type":"text","text":"d"}]},{"role":"user","content":"e"}]`},
	{name: "empty texts", members: `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":"b"}]`},
	{name: "a refusal", members: `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"No."},{"role":"user","content":"b"}]`},
	{name: "prefill", refused: "global.anthropic.claude-opus-4-6-v1 us.anthropic.claude-opus-4-6-v1 claude-opus-4-6 claude-opus-4-8 claude-sonnet-5 claude-sonnet-5-5", members: `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"The answer is"}]`},
	{name: "reasoning sent back", members: `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"I thought."},{"role":"user","content":"c"}]`},

	{name: "an image as data", members: userParts(`{"type":"image_url","image_url":{"url":"` + pixel + `"}}`)},
	{name: "an image with detail", members: userParts(`{"type":"image_url","image_url":{"url":"` + pixel + `","detail":"low"}}`)},
	{name: "an image by URL", refused: "anthropic_on_bedrock bedrock ollama", members: userParts(`{"type":"image_url","image_url":{"url":"https://example.com/cat.png"}}`)},
	{name: "audio", refused: "anthropic anthropic_on_bedrock anthropic_on_vertex cohere ollama", members: userParts(`{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}`)},
	{name: "a PDF file", refused: "cohere ollama", members: userParts(`{"type":"file","file":{"filename":"a b.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}`)},
	{name: "a text file", refused: "cohere ollama", members: userParts(`{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,aGVsbG8="}}`)},
	{name: "a file by id", refused: nowhereElse, members: userParts(`{"type":"file","file":{"file_id":"file-abc"}}`)},

	{name: "tools", members: oneTool},
	{name: "a tool without parameters", members: `"tools":[{"type":"function","function":{"name":"now"}},{"type":"function","function":{"name":"then","parameters":{"type":"object","properties":{}}}}]`},
	{name: "a strict tool", members: `"tools":[{"type":"function","function":{"name":"plan","strict":true,"parameters":` + form + `}}]`},
	{name: "a tool with a rich schema", members: `"tools":[{"type":"function","function":{"name":"plan","description":"Plans.","parameters":` + richForm + `}}]`},
	{name: "many tools", members: `"tools":[{"type":"function","function":{"name":"a","parameters":` + form + `}},{"type":"function","function":{"name":"b","description":"","parameters":` + form + `}}],"parallel_tool_calls":true`},
	{name: "tool_choice none", members: oneTool + `,"tool_choice":"none"`},
	{name: "tool_choice auto", members: oneTool + `,"tool_choice":"auto"`},
	{name: "tool_choice required", refused: "ollama claude-sonnet-5-5", members: oneTool + `,"tool_choice":"required"`},
	{name: "tool_choice of a function", refused: "ollama claude-sonnet-5-5", members: oneTool + `,"tool_choice":{"type":"function","function":{"name":"get_weather"}}`},
	{name: "one call at a time", members: oneTool + `,"parallel_tool_calls":false`},
	{name: "functions of old", refused: "ollama claude-sonnet-5-5", members: `"functions":[{"name":"get_weather","parameters":` + form + `}],"function_call":{"name":"get_weather"}`},

	{name: "a call and its result", members: talk(askedFor + "," + called + "," + result)},
	{name: "calls beside text", members: talk(askedFor + `,{"role":"assistant","content":"Let me look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\",\"at\":1.50,\"n\":12345678901234567890}"}},{"id":"call_2","type":"function","function":{"name":"get_weather","arguments":""}}]},` + result + `,{"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"{\"rain\":"},{"type":"text","text":"true}"}]},{"role":"user","content":"And?"}`)},
	{name: "two turns of calls", members: talk(askedFor + "," + called + "," + result + `,{"role":"assistant","content":"","tool_calls":[{"id":"call_2","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_2","content":""},{"role":"assistant","content":"Rain."},{"role":"user","content":"And?"}`)},
	{name: "calls of other providers", members: talk(askedFor + `,{"role":"assistant","content":null,"tool_calls":[{"id":"functions.get_weather:0","type":"function","function":{"name":"get_weather","arguments":"{}"}},{"id":"` + longID + `","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"` + longID + `","content":"fog"},{"role":"tool","tool_call_id":"functions.get_weather:0","content":"{\"sky\":[\"grey\"]}"}`)},
	{name: "a history of calls without tools", members: `"messages":[` + askedFor + "," + called + "," + result + `]`},
	{name: "a history of functions", members: `"functions":[{"name":"get_weather","parameters":` + form + `}],"messages":[` + askedFor + `,{"role":"assistant","content":null,"function_call":{"name":"get_weather","arguments":"{}"}},{"role":"function","name":"get_weather","content":"rain"}]`},
	{name: "calls while thinking", members: `"reasoning_effort":"medium",` + talk(askedFor+","+called+","+result)},
	{name: "signed thoughts of Claude", members: `"reasoning_effort":"medium",` + talk(askedFor+`,{"role":"assistant","content":null,"extra_content":{"anthropic":{"thinking_blocks":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ=="}]}},"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},`+result)},
	{name: "signed thoughts of Gemini", members: talk(askedFor + `,{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{}"},"extra_content":{"google":{"thought_signature":"c2lnbmF0dXJl"}}}]},` + result)},

	{name: "a JSON object", members: `"response_format":{"type":"json_object"}`},
	{name: "a schema", members: `"response_format":{"type":"json_schema","json_schema":{"name":"weather","schema":` + form + `,"strict":true}}`},
	{name: "a rich schema", members: `"response_format":{"type":"json_schema","json_schema":{"name":"trip","description":"A trip.","schema":` + richForm + `}}`},
	{name: "a schema beside tools", refused: "cohere", members: oneTool + `,"response_format":{"type":"json_schema","json_schema":{"name":"weather","schema":` + form + `}}`},
	{name: "a schema while thinking", members: `"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"name":"weather","schema":` + form + `}}`},

	{name: "no effort", members: `"reasoning_effort":"none"`},
	{name: "minimal effort", members: `"reasoning_effort":"minimal"`},
	{name: "low effort", members: `"reasoning_effort":"low","max_completion_tokens":4000`},
	{name: "medium effort", members: `"reasoning_effort":"medium"`},
	{name: "high effort", members: `"reasoning_effort":"high","max_completion_tokens":64000`},
	{name: "extra high effort", members: `"reasoning_effort":"xhigh"`},
	{name: "effort and little room", members: `"reasoning_effort":"high","max_completion_tokens":500`},
	{name: "effort and sampling", members: `"reasoning_effort":"medium","temperature":0.3,"top_p":0.9`},
	{name: "effort and a forced tool", refused: "ollama claude-sonnet-5-5", members: oneTool + `,"reasoning_effort":"medium","tool_choice":"required"`},

	{name: "max_tokens", members: `"max_tokens":100`},
	{name: "max_completion_tokens", members: `"max_completion_tokens":100`},
	{name: "temperature", members: `"temperature":0.25`},
	{name: "a high temperature", members: `"temperature":1.75`},
	{name: "top_p", members: `"top_p":0.5`},
	{name: "temperature and top_p", members: `"temperature":0.25,"top_p":0.5`},
	{name: "penalties", members: `"frequency_penalty":0.5,"presence_penalty":0.5`},
	{name: "a negative penalty", members: `"frequency_penalty":-0.5`},
	{name: "one stop", members: `"stop":"END"`},
	{name: "four stops", members: `"stop":["a","b","c","d"]`},
	{name: "blank stops", members: `"stop":["\n\n","END"]`},
	{name: "two choices", refused: "anthropic anthropic_on_bedrock anthropic_on_vertex bedrock cohere ollama", members: `"n":2`},
	{name: "seed", members: `"seed":42`},
	{name: "logprobs", refused: "cohere", members: `"logprobs":true,"top_logprobs":2`},
	{name: "logprobs alone", members: `"logprobs":true`},
	{name: "logit_bias", members: `"logit_bias":{"50256":-100}`},
	{name: "user", members: `"user":"u-1"`},
	{name: "safety_identifier", members: `"safety_identifier":"u-1"`},
	{name: "flex tier", members: `"service_tier":"flex"`},
	{name: "priority tier", members: `"service_tier":"priority"`},
	{name: "metadata", members: `"metadata":{"a":"b"}`},
	{name: "store", members: `"store":true`},
	{name: "audio answers", refused: nowhereElse, members: `"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}`},
	{name: "prediction", members: `"prediction":{"type":"content","content":"a"}`},
	{name: "prompt cache", members: `"prompt_cache_key":"a","prompt_cache_retention":"24h"`},
	{name: "verbosity", members: `"verbosity":"low"`},
	{name: "web search", refused: nowhereElse, members: `"web_search_options":{}`},
	{name: "web search somewhere", refused: nowhereElse, members: `"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"Oslo","country":"NO"}}}`},

	{name: "caching", only: "anthropic", members: caching},
	{name: "caching", only: "anthropic_on_bedrock", members: caching},
	{name: "caching", only: "anthropic_on_vertex", members: caching},
	{name: "caching", only: "bedrock", members: caching},
	{name: "native members", only: "anthropic", members: `"top_k":40,"thinking":{"type":"enabled","budget_tokens":2000},"max_tokens":9000`},
	{name: "native members", only: "anthropic_on_bedrock", members: `"top_k":40,"metadata":{"a":"b"}`},
	{name: "native members", only: "gemini", members: `"safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}],"generationConfig":{"topK":40,"mediaResolution":"MEDIA_RESOLUTION_LOW"},"cachedContent":"cachedContents/abc"`},
	{name: "native members", only: "cohere", members: `"safety_mode":"STRICT","k":40,"citation_options":{"mode":"OFF"},"documents":["The sky is grey."]`},
	{name: "native members", only: "ollama", members: `"keep_alive":"10m","options":{"num_ctx":8192,"top_k":40}`},
	{name: "native members", only: "bedrock", members: `"top_k":40,"guardrailConfig":{"guardrailIdentifier":"g","guardrailVersion":"1"},"requestMetadata":{"team":"weather"},"performanceConfig":{"latency":"optimized"}`},
}

const (
	longID  = `call_0123456789012345678901234567890123456789012345678901234567890123456789|fc_0123456789`
	caching = `"messages":[{"role":"system","content":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]}],` +
		`"tools":[{"type":"function","function":{"name":"get_weather","parameters":` + form + `},"cache_control":{"type":"ephemeral"}}]`
)
