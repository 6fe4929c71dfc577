package wire

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// NoParameters is the schema of a function without any.
const NoParameters = `{"type":"object","properties":{}}`

// Arguments is the object that the arguments of a call are. None at all, and null, are an
// empty one; anything else is refused.
func Arguments(call *translate.AssistantCall) (string, *translate.Error) {
	switch strings.Trim(call.Arguments, " \t\r\n") {
	case "", "null":
		return "{}", nil
	}
	object, ok := ObjectIn(call.Arguments)
	if !ok {
		return "", translate.InvalidType(argumentsPath(call.Path), "the JSON text of an object")
	}
	return object, nil
}

// argumentsPath is where the arguments of a call stand: in tool_calls, or in the older
// function_call.
func argumentsPath(call string) string {
	if strings.HasSuffix(call, ".function_call") {
		return call + ".arguments"
	}
	return call + ".function.arguments"
}

// ObjectIn is the JSON object that text is.
func ObjectIn(text string) (string, bool) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return "", false
	}
	v, ok := jsonview.Parse([]byte(text))
	return v.Raw, ok
}

// Tool adds a function that the model may call, in the form that OpenAI has given it but
// for strict. It always has parameters.
func (o *Object) Tool(t *translate.Tool) {
	o.Open('{')
	o.Text("type", "function")
	o.Name("function")
	o.Open('{')
	o.Text("name", t.Name)
	o.Raw("description", t.Description)
	if o.Raw("parameters", t.Parameters); !t.Parameters.Exists() {
		o.Literal("parameters", NoParameters)
	}
	o.Close('}')
	o.Close('}')
}
