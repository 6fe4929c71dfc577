package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// maxKeyJSON bounds the settings of a key, in bytes, and maxKeyDepth how deep they nest.
const (
	maxKeyJSON  = 256 << 10
	maxKeyDepth = 16
)

// Key is a credential that clients may use; only its hash is configured.
type Key struct {
	Alias string `yaml:"alias" required:"true" doc:"Name of the key in logs, records and labels. Letters, digits, dot, dash, underscore."`
	// SHA256 is the hash of the key as 64 lower-case hex digits.
	SHA256 string `yaml:"sha256" required:"true" doc:"SHA-256 of the key as 64 hex digits, as printed by sluice keys new and sluice keys hash."`
	Admin  bool   `yaml:"admin" doc:"May see and cancel the requests of other keys, and manage keys."`
	// Models is empty when the key may ask for any.
	Models   []string          `yaml:"models,omitempty" doc:"Models that the key may ask for; a * stands for any run of characters. Omit to allow all."`
	Metadata map[string]string `yaml:"metadata,omitempty" doc:"Notes about the key, as a team or a cost centre; they are kept in the records of its requests."`
	Limits   Quota             `yaml:"limits,omitempty" doc:"Limits of the requests of this key."`
	Capture  bool              `yaml:"capture" doc:"Keep prompts and answers of this key."`
	// OnLedgerFailure is empty when the setting of the whole configuration holds.
	OnLedgerFailure string `yaml:"on_ledger_failure,omitempty" enum:"refuse,allow" doc:"The setting of the same name, for this key."`
}

// ParseKey reads the settings of a key from a JSON object with the names, the rules and
// the problems of the configuration file. Neither the alias nor the hash needs to be
// there; ${references} are plain text. The error is a *Problems without lines.
func ParseKey(src []byte) (Key, error) {
	return parseKey(src, "alias", "sha256")
}

// ValidateKey checks a key by itself, as ParseKey does. It must have an alias; it need
// not have a hash. The error is a *Problems without lines.
func ValidateKey(k Key) error {
	all := settings(reflect.ValueOf(k)).(object)
	if k.SHA256 == "" {
		delete(all, "sha256")
	}
	src, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("writing the key %s: %w", k.Alias, err)
	}
	_, err = parseKey(src, "sha256")
	return err
}

// SettingsJSON returns everything about a key that is set, apart from its alias and its
// hash, as a JSON object that ParseKey reads again.
func (k Key) SettingsJSON() ([]byte, error) {
	all := settings(reflect.ValueOf(k)).(object)
	delete(all, "alias")
	delete(all, "sha256")
	out, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("writing the settings of the key %s: %w", k.Alias, err)
	}
	return out, nil
}

// Allows reports whether the key may ask for a model, by the name that clients use.
func (k Key) Allows(model string) bool {
	for _, pattern := range k.Models {
		if _, ok := MatchName(pattern, model); ok {
			return true
		}
	}
	return len(k.Models) == 0
}

func parseKey(src []byte, optional ...string) (Key, error) {
	problems := &Problems{}
	key := Key{}
	root, err := jsonNode(src)
	if err != nil {
		problems.add(position{}, "", "%v", err)
		return Key{}, problems
	}
	d := newDecoder(problems, nil)
	for _, name := range optional {
		d.optional[name] = true
	}
	d.value(root, reflect.ValueOf(&key).Elem(), "", rule{})
	k := newChecker(&Config{}, problems, &loader{positions: d.positions, referenced: d.referenced})
	k.key("", &key)
	for i := range problems.List {
		problems.List[i].Line = 0
	}
	if err := problems.err(); err != nil {
		return Key{}, err
	}
	return key, nil
}

var (
	errKeyLarge = fmt.Errorf("the settings of a key are larger than %s", Size(maxKeyJSON))
	errKeyForm  = errors.New("the settings of a key must be one JSON object")
)

// jsonNode returns a JSON object as the node that YAML would make of it, without the
// differences between the two: escaped surrogates, tabs, and keys like "<<".
func jsonNode(src []byte) (*yaml.Node, error) {
	if len(src) > maxKeyJSON {
		return nil, errKeyLarge
	}
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	r := jsonReader{dec, src}
	root, err := r.node(0)
	if err != nil || root.Kind != yaml.MappingNode {
		return nil, errKeyForm
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errKeyForm
	}
	return root, nil
}

type jsonReader struct {
	*json.Decoder
	src []byte
}

func (r jsonReader) node(depth int) (*yaml.Node, error) {
	token, err := r.Token()
	if err != nil {
		return nil, err
	}
	line := 1 + bytes.Count(r.src[:r.InputOffset()], []byte("\n"))
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: line}
	switch value := token.(type) {
	case json.Delim:
		return r.children(value, line, depth+1)
	case nil:
		n.Tag = "!!null"
	case string:
		n.Value = value
	default: // a number or a boolean
		n.Value = fmt.Sprint(value)
	}
	return n, nil
}

// children reads what stands between the brackets that begin with open.
func (r jsonReader) children(open json.Delim, line, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Line: line}
	if open == '{' {
		n.Kind = yaml.MappingNode
	}
	if depth > maxKeyDepth {
		return nil, errKeyForm
	}
	for r.More() {
		child, err := r.node(depth)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.Token()
	return n, err
}

// settings returns what is set in v as JSON values under the names of the file.
func settings(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return settings(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = settings(v.Index(i))
		}
		return list
	case reflect.Struct:
		members := object{}
		for _, f := range fieldsOf(v.Type()) {
			if member := v.Field(f.index); !f.omitEmpty || !isEmpty(member) {
				members[f.name] = settings(member)
			}
		}
		return members
	}
	return v.Interface()
}

func isEmpty(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}
