package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// configs writes toolConfig and generationConfig, with what the client gave of them in
// the provider's own words, and then the client's other members.
func (r *request) configs() {
	tool, generation := r.toolConfig(), r.generationConfig()
	var others []translate.Member
	for _, m := range r.chat.Unknown {
		switch name := camelCase(m.Name); {
		case name == "toolConfig":
			tool = r.merge(tool, m.Value, name)
		case name == "generationConfig":
			generation = r.merge(generation, m.Value, name)
		case name == "contents", name == "systemInstruction" && len(r.systemParts()) > 0 && !r.systemIsAll():
			r.fail(translate.Unsupported(m.Name, "it is made of the messages"))
		default:
			others = append(others, m)
		}
	}
	if string(tool) != "{}" {
		r.out.Literal("toolConfig", jsonview.View(tool))
	}
	if string(generation) != "{}" {
		r.out.Literal("generationConfig", jsonview.View(generation))
	}
	for _, m := range others {
		r.out.Raw(m.Name, m.Value)
	}
}

// merge adds what the client wrote to an object of ours.
func (r *request) merge(ours []byte, native jsonview.Value, path string) []byte {
	mine, ok := jsonview.Parse(ours)
	if !ok {
		return ours // a refused value is not written whole
	}
	if !native.IsObject() {
		r.fail(translate.InvalidType(path, "an object"))
		return ours
	}
	w := wire.NewObject(len(ours) + len(native.Raw))
	r.mergeInto(w, mine, native, path)
	return w.End()
}

// mergeInto adds the members of both to an object.
func (r *request) mergeInto(w *wire.Object, mine, native jsonview.Value, path string) {
	taken := make(map[string]jsonview.Value)
	for name, v := range native.Members {
		taken[camelCase(name)] = v
	}
	for name, v := range mine.Members {
		theirs, both := taken[name]
		switch {
		case both && v.IsObject() && theirs.IsObject():
			w.Name(name)
			w.Open('{')
			r.mergeInto(w, v, theirs, path+"."+name)
			w.Close('}')
		case both && !sameJSON(v, theirs):
			r.fail(translate.Unsupported(path+"."+name, "another member of the request says something else"))
			return
		default:
			w.Raw(name, v)
		}
	}
	for name, v := range native.Members {
		if !mine.Get(camelCase(name)).Exists() {
			w.Raw(name, v)
		}
	}
}

func sameJSON(a, b jsonview.Value) bool {
	return string(jsonview.AppendCompact(nil, a.Raw)) == string(jsonview.AppendCompact(nil, b.Raw))
}

// camelCase turns snake_case, which proto3's JSON mapping reads as well, into the names
// that are written here.
func camelCase(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	words := strings.Split(name, "_")
	for i, word := range words {
		if i > 0 && word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
