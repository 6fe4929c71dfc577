package gemini

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// References that multiply, and schemas within schemas, are refused before they take
// much memory or time.
func TestSchemasThatGrowAreRefused(t *testing.T) {
	f := func(schema string) {
		t.Helper()
		body := `{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}]}`
		chat, e := translate.ParseChat([]byte(body))
		require.Nil(t, e)
		c := &translate.Context{Known: modeldata.Model{Traits: []string{modeldata.TraitOpenAPISchemas}}}
		request, e := Dialect{}.Request(c, chat)
		require.Nil(t, request)
		require.Equal(t, translate.CodeUnsupported, e.Code)
		require.Equal(t, "tools.0.function.parameters", e.Param)
		require.Contains(t, e.Message, "too large")
	}

	var doubling strings.Builder
	doubling.WriteString(`{"type":"object","properties":{"p":{"$ref":"#/$defs/d0"}},"$defs":{`)
	for i := range 40 {
		fmt.Fprintf(&doubling, `"d%d":{"type":"object","properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}}},`, i, i+1, i+1)
	}
	doubling.WriteString(`"d40":{"type":"string"}}}`)
	f(doubling.String())

	f(`{"type":"object","properties":{"p":` + strings.Repeat(`{"type":"array","items":`, 80) + `{}` + strings.Repeat(`}`, 80) + `}}`)
	f(`{"type":"object","properties":{"p":` + strings.Repeat(`{"allOf":[`, 80) + `{}` + strings.Repeat(`]}`, 80) + `}}`)

	junk := strings.Repeat(`"x":[{}],`, 20000)
	many := strings.Repeat(`{"$ref":"#/$defs/d"},`, 1000)
	f(`{"type":"object","properties":{"p":{"anyOf":[` + many + `{"type":"string"}]}},"$defs":{"d":{` + junk + `"type":"string"}}}`)
}
