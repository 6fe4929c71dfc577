package translate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

func TestToolsAreRead(t *testing.T) {
	tools := parseChat(t, `,"tools":[
		{"type":"function","function":{"name":"f\u0031","description":"d\n","parameters":{"type":"object"},"strict":true},"cache_control":{"type":"a"}},
		{"type":"function","function":{"name":"g","description":null,"parameters":null,"strict":null,"cache_control":{"type":"b"}}}]`).Tools
	require.Len(t, tools, 2)
	require.Equal(t, "f1", tools[0].Name)
	require.Equal(t, "tools.0", tools[0].Path)
	require.Equal(t, `"d\n" {"type":"object"} true {"type":"a"}`, raw([]jsonview.Value{
		tools[0].Description, tools[0].Parameters, tools[0].Strict, tools[0].CacheControl,
	}))
	require.Equal(t, "tools.1", tools[1].Path)
	require.False(t, tools[1].Description.Exists() || tools[1].Parameters.Exists() || tools[1].Strict.Exists())
	require.Equal(t, `{"type":"b"}`, tools[1].CacheControl.Raw)
}

func TestLegacyFunctionsAreTools(t *testing.T) {
	chat := parseChat(t, `,"functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"},"tools":[{"type":"function","function":{"name":"g"}}]`)
	require.Equal(t, "g", chat.Tools[0].Name)
	require.Equal(t, "f", chat.Tools[1].Name)
	require.Equal(t, "functions.0", chat.Tools[1].Path)
	require.Equal(t, ToolChoice{"function", "f"}, chat.Choice)
	require.Equal(t, []string{"messages", "functions", "function_call", "tools"}, chat.present)
}

func TestToolChoices(t *testing.T) {
	f := func(members string, want ToolChoice) {
		t.Helper()
		require.Equal(t, want, parseChat(t, members).Choice, members)
	}
	f(``, ToolChoice{})
	f(`,"tool_choice":null`, ToolChoice{})
	f(`,"tool_choice":"auto"`, ToolChoice{Mode: "auto"})
	f(`,"tool_choice":"none"`, ToolChoice{Mode: "none"})
	f(`,"tool_choice":"requir\u0065d"`, ToolChoice{Mode: "required"})
	f(`,"tool_choice":{"type":"function","function":{"name":"f"}}`, ToolChoice{"function", "f"})
	f(`,"function_call":"auto"`, ToolChoice{Mode: "auto"})
	f(`,"function_call":"none"`, ToolChoice{Mode: "none"})
	f(`,"function_call":{"name":"f"}`, ToolChoice{"function", "f"})
}

func TestToolsAreRefusedByName(t *testing.T) {
	f := func(members, code, param string) {
		t.Helper()
		refuseChat(t, `{"model":"m",`+oneMessage+`,`+members+`}`, code, param)
	}
	f(`"tools":{}`, CodeInvalidType, "tools")
	f(`"tools":[1]`, CodeInvalidType, "tools.0.type")
	f(`"tools":[{"function":{"name":"f"}}]`, CodeInvalidType, "tools.0.type")
	f(`"tools":[{"type":"function"}]`, CodeInvalidType, "tools.0.function")
	f(`"tools":[{"type":"function","function":{}}]`, CodeInvalidType, "tools.0.function.name")
	f(`"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":""}}]`, CodeInvalidType, "tools.1.function.name")
	f(`"tools":[{"type":"function","function":{"name":"f","description":1}}]`, CodeInvalidType, "tools.0.function.description")
	f(`"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]`, CodeInvalidType, "tools.0.function.parameters")
	f(`"tools":[{"type":"function","function":{"name":"f","strict":"no"}}]`, CodeInvalidType, "tools.0.function.strict")
	f(`"tools":[{"type":"custom","custom":{"name":"f"}}]`, CodeUnsupported, "tools.0.type")
	f(`"tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]`, CodeUnsupported, "tools.1.type")
	f(`"functions":"f"`, CodeInvalidType, "functions")
	f(`"functions":[null]`, CodeInvalidType, "functions.0")
	f(`"functions":[{"name":1}]`, CodeInvalidType, "functions.0.name")
	f(`"tool_choice":"any"`, CodeInvalidType, "tool_choice")
	f(`"tool_choice":1`, CodeInvalidType, "tool_choice")
	f(`"tool_choice":{}`, CodeInvalidType, "tool_choice")
	f(`"tool_choice":{"type":"function","function":{"name":""}}`, CodeInvalidType, "tool_choice")
	f(`"tool_choice":{"type":"allowed_tools","allowed_tools":{}}`, CodeUnsupported, "tool_choice.type")
	f(`"tool_choice":{"type":"custom","custom":{"name":"f"}}`, CodeUnsupported, "tool_choice.type")
	f(`"function_call":{"function":{"name":"f"}}`, CodeInvalidType, "function_call")
	f(`"function_call":true`, CodeInvalidType, "function_call")
}
