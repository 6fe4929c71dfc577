package fakeprovider

import (
	"fmt"
	"strings"
)

// Models is the provider's list of models with these names; empty where it has none.
func (v *Voice) Models(names ...string) string {
	var form, around string
	switch {
	case v.Dialect == "openai":
		form, around = `{"id":%s,"object":"model","created":1700000000,"owned_by":"them"}`, `{"object":"list","data":[%s]}`
	case v.Dialect == "anthropic" && !v.Enveloped:
		form, around = `{"type":"model","id":%s,"display_name":"A model"}`, `{"data":[%s],"has_more":false}`
	case v.Dialect == "gemini":
		form, around = `{"name":%s,"supportedGenerationMethods":["generateContent"]}`, `{"models":[%s]}`
	case v.Dialect == "ollama":
		form, around = `{"name":%s,"size":1}`, `{"models":[%s]}`
	default:
		return ""
	}
	all := make([]string, len(names))
	for i, name := range names {
		if v.Dialect == "gemini" {
			name = "models/" + name
		}
		all[i] = fmt.Sprintf(form, quote(name))
	}
	return fmt.Sprintf(around, strings.Join(all, ","))
}
