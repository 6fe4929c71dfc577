package manage

import (
	"bytes"
	"encoding/json"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/translate"
)

// patch is a change of settings as RFC 7396 has it: its members replace those of the same
// name, objects are merged, and null removes.
type patch map[string]any

// settingsPatch reads a change of the settings of a key.
func settingsPatch(body []byte) (patch, error) {
	p, ok := decodeObject(body)
	switch {
	case !json.Valid(body):
		return nil, translate.NewError(translate.CodeInvalidJSON)
	case !ok:
		return nil, invalidValue("", "The body must be a JSON object")
	}
	for _, name := range []string{"alias", "sha256"} {
		if _, given := p[name]; given {
			return nil, invalidValue(name, "cannot be changed")
		}
	}
	return p, nil
}

// apply returns settings with the change, if the configuration would take them.
func (p patch) apply(settings json.RawMessage) (json.RawMessage, error) {
	before, ok := decodeObject(settings)
	if !ok {
		before = patch{}
	}
	after, err := json.Marshal(merged(before, p))
	if err != nil {
		return nil, invalidValue("", "The settings cannot be written")
	}
	key, err := config.ParseKey(after)
	if err != nil {
		return nil, invalidSettings(err)
	}
	return key.SettingsJSON()
}

// merged changes target, and returns it.
func merged(target, change map[string]any) map[string]any {
	for name, value := range change {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			inner, ok := target[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
			}
			target[name] = merged(inner, value)
		default:
			target[name] = value
		}
	}
	return target
}

// decodeObject reads a JSON object with its numbers as they are written.
func decodeObject(text []byte) (patch, bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	return object, decoder.Decode(&object) == nil && object != nil
}
