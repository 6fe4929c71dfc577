package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

func view(raw string) jsonview.Value { return jsonview.Value{Raw: raw} }

func TestObject(t *testing.T) {
	o := NewObject(0)
	o.Text("a\"", "é\n")
	o.Int("b", -3)
	o.Bool("c", true)
	o.Raw("d", view(`{ "x" : 1.0 }`))
	o.Raw("nothing", jsonview.Value{})
	o.Strings("e", []jsonview.Value{view(`"\u0061"`), view(`"b"`)})
	o.Strings("none", nil)
	o.Literal("f", `null`)
	require.Nil(t, o.Add("", []translate.Member{{Name: "g", Value: view(`[ 1, 2 ]`)}}))
	require.True(t, o.Has("g"))
	require.False(t, o.Has("none"))
	require.Equal(t, `{"a\"":"é\n","b":-3,"c":true,"d":{"x":1.0},"e":["\u0061","b"],"f":null,"g":[1,2]}`, string(o.End()))
}

func TestObjectTakesNoMemberTwice(t *testing.T) {
	o := NewObject(0)
	o.Int("seed", 1)
	err := o.Add("options.", []translate.Member{{Name: "seed", Value: view("2")}})
	require.Equal(t, "options.seed", err.Param)
	require.Equal(t, translate.CodeUnsupported, err.Code)
}

func TestNearest(t *testing.T) {
	known := map[string]int{"none": 0, "low": 1, "high": 3}
	for effort, want := range map[string]int{
		"none": 0, "minimal": 1, "low": 1, "medium": 1, "high": 3, "xhigh": 3, "max": 3, "whatever": 1,
	} {
		got, ok := Nearest(known, effort)
		require.True(t, ok, effort)
		require.Equal(t, want, got, effort)
	}
	least, ok := Nearest(map[string]int{"medium": 2, "high": 3}, "none")
	require.True(t, ok)
	require.Equal(t, 2, least)
	_, ok = Nearest(map[string]int{"none": 0}, "low")
	require.False(t, ok)
	_, ok = Nearest(map[string]int(nil), "low")
	require.False(t, ok)
}

func TestError(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   translate.Error
	}{
		"labels are kept": {
			400, `{"error":{"message":"m","type":"t","param":"p","code":"c"}}`,
			translate.Error{Status: 400, Message: "m", Type: "t", Param: "p", Code: "c"},
		},
		"codes may be numbers": {
			429, `{"error":{"message":"m","code":7}}`,
			translate.Error{Status: 429, Message: "m", Type: "rate_limit_error", Code: "7"},
		},
		"a key that is refused": {
			401, `{"message":"m"}`,
			translate.Error{Status: 401, Message: "m", Type: "authentication_error", Code: "invalid_api_key"},
		},
		"a model that is missing": {
			404, `{"error":"Model 'x' not found"}`,
			translate.Error{Status: 404, Message: "Model 'x' not found", Type: "not_found_error", Code: "model_not_found"},
		},
		"something else that is missing": {
			404, `{"error":"no route"}`,
			translate.Error{Status: 404, Message: "no route", Type: "not_found_error"},
		},
		"a provider that waited": {
			408, `{"error":"slow"}`,
			translate.Error{Status: 504, Message: "slow", Type: "timeout"},
		},
		"a provider that was left": {
			499, `{"error":"left"}`,
			translate.Error{Status: 502, Message: "left", Type: "server_error"},
		},
		"nothing": {
			500, ``,
			translate.Error{Status: 500, Message: "The provider answered with status 500 (Internal Server Error).", Type: "server_error"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, *Error(test.status, "application/json", []byte(test.body)))
		})
	}
}

func TestErrorInStream(t *testing.T) {
	e := InStream(view(`{"error":"out of memory"}`))
	require.Equal(t, translate.Error{Status: 502, Message: "out of memory", Type: "server_error"}, *e)
}

func TestObjectsWithinAnObject(t *testing.T) {
	o := NewObject(0)
	o.Name("list")
	o.Open('[')
	o.Item()
	o.Out = append(o.Out, '1')
	o.Open('{')
	o.Text("inner", "[")
	o.Strings("none", nil)
	o.Close('}')
	o.Open('[')
	o.Close(']')
	o.Open('{')
	o.Close('}')
	o.Tool(&translate.Tool{Name: "f", Description: view(`"d"`)})
	o.Close(']')
	require.True(t, o.Has("list"))
	require.False(t, o.Has("inner"))
	require.Nil(t, o.Add("", []translate.Member{{Name: "inner", Value: view("2")}}))
	require.Equal(t, `{"list":[1,{"inner":"["},[],{},`+
		`{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}}],"inner":2}`, string(o.End()))
}

func TestArguments(t *testing.T) {
	for text, want := range map[string]string{
		"": "{}", " \n": "{}", "null": "{}", " null ": "{}", " {\"a\": 1.0}\n": `{"a": 1.0}`,
	} {
		got, e := Arguments(&translate.AssistantCall{Arguments: text})
		require.Nil(t, e, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"[]", "{", "1", `{"a":1} x`, "nul"} {
		_, e := Arguments(&translate.AssistantCall{Arguments: text, Path: "messages.1.tool_calls.0"})
		require.Equal(t, "messages.1.tool_calls.0.function.arguments", e.Param, text)
		_, e = Arguments(&translate.AssistantCall{Arguments: text, Path: "messages.1.function_call"})
		require.Equal(t, "messages.1.function_call.arguments", e.Param, text)
	}
}

func TestCheckEffort(t *testing.T) {
	for _, effort := range []string{"", "none", "minimal", "low", "medium", "high", "xhigh", "max"} {
		require.Nil(t, CheckEffort(effort), effort)
	}
	require.Equal(t, "reasoning_effort", CheckEffort("LOW").Param)
}
