package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the work that aliases can multiply.
const maxNodes = 1_000_000

// decoder fills the structs of this package from YAML nodes. It goes on after a
// problem, so that one pass finds all of them, and it remembers where every
// value stands for the checks that follow.
type decoder struct {
	problems   *Problems
	references references
	positions  map[string]position
	// referenced holds the paths whose value came through a ${reference}; such
	// values are never quoted in a problem.
	referenced map[string]bool
	// optional holds the paths of required values that may be missing this time.
	optional map[string]bool
	nodes    int
	// merging holds the mappings and lists whose "<<" is being followed.
	merging map[*yaml.Node]bool
}

// newDecoder returns a decoder that adds to problems. Without a getenv, references are
// plain text.
func newDecoder(problems *Problems, getenv Getenv) *decoder {
	return &decoder{
		problems:   problems,
		references: references{getenv: getenv},
		positions:  map[string]position{},
		referenced: map[string]bool{},
		optional:   map[string]bool{},
		merging:    map[*yaml.Node]bool{},
	}
}

var (
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
	rateType     = reflect.TypeFor[Rate]()
	secretType   = reflect.TypeFor[Secret]()
	urlType      = reflect.TypeFor[SecretURL]()
)

// value decodes n into v. A null counts as a key that was not written.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, r rule) {
	n = target(n)
	if isNull(n) || !d.spend(n) {
		return
	}
	d.positions[path] = at(n)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, r)
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path, rule{enum: r.enum})
	case reflect.Map:
		d.table(n, v, path)
	default:
		d.scalar(n, v, path, r)
	}
}

// spend counts a visited node with its children and reports whether the budget
// allows it.
func (d *decoder) spend(n *yaml.Node) bool {
	before := d.nodes
	d.nodes += 1 + len(n.Content)
	if before < maxNodes && d.nodes >= maxNodes {
		d.problems.add(at(n), "", "the aliases of this file expand to more than %d values", maxNodes)
	}
	return d.nodes < maxNodes
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.problems.add(at(n), path, "must be a mapping of keys, not %s", kindOf(n))
		return
	}
	if s, ok := v.Addr().Interface().(defaulter); ok {
		s.setDefaults()
	}
	fields := fieldsOf(v.Type())
	given := map[string]bool{}
	for _, e := range d.entries(n, path) {
		full := join(path, e.name)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.name })
		if i < 0 {
			d.problems.add(e.at, full, "%s", unknownKey(e.name, path, fields))
			continue
		}
		d.value(e.value, v.Field(fields[i].index), full, fields[i].rule)
		given[e.name] = !isNull(target(e.value))
	}
	for _, f := range fields {
		if full := join(path, f.name); f.rule.required && !given[f.name] && !d.optional[full] {
			d.problems.add(at(n), full, "is required")
		}
	}
}

// entry is one key of a mapping with its value.
type entry struct {
	name  string
	at    position
	value *yaml.Node
}

// entries lists the keys of a mapping once each, its own before merged ones.
func (d *decoder) entries(n *yaml.Node, path string) []entry {
	var list []entry
	var merged []*yaml.Node
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case target(key).Kind != yaml.ScalarNode:
			d.problems.add(at(key), path, "a key must be plain text")
		case lines[key.Value] > 0:
			d.problems.add(at(key), join(path, clip(key.Value)), "is set twice; first on line %d", lines[key.Value])
		default:
			lines[key.Value] = key.Line
			list = append(list, entry{key.Value, at(key), value})
		}
	}
	for _, m := range merged {
		for _, e := range d.mergedEntries(target(m), path) {
			if lines[e.name] == 0 {
				lines[e.name] = e.at.line
				list = append(list, e)
			}
		}
	}
	return list
}

// mergedEntries lists the keys behind a "<<" key.
func (d *decoder) mergedEntries(n *yaml.Node, path string) []entry {
	if d.merging[n] {
		d.problems.add(at(n), path, "<< leads back to itself")
		return nil
	}
	if !d.spend(n) {
		return nil
	}
	d.merging[n] = true
	defer delete(d.merging, n)
	switch n.Kind {
	case yaml.MappingNode:
		return d.entries(n, path)
	case yaml.SequenceNode:
		var list []entry
		for _, item := range n.Content {
			list = append(list, d.mergedEntries(target(item), path)...)
		}
		return list
	default:
		d.problems.add(at(n), path, "<< must name a mapping, not %s", kindOf(n))
		return nil
	}
}

// list decodes the items of a list, each of which must satisfy each.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, each rule) {
	if n.Kind != yaml.SequenceNode {
		d.problems.add(at(n), path, "must be a list, not %s", kindOf(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		full := path + "[" + strconv.Itoa(i) + "]"
		if isNull(target(item)) {
			d.problems.add(at(item), full, "is empty")
			continue
		}
		d.value(item, v.Index(i), full, each)
	}
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.problems.add(at(n), path, "must be a mapping of keys, not %s", kindOf(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.entries(n, path) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, item, join(path, e.name), rule{})
		v.SetMapIndex(reflect.ValueOf(e.name), item)
	}
}

// scalar decodes one value, after its references were replaced.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, r rule) {
	if n.Kind != yaml.ScalarNode {
		d.problems.add(at(n), path, "must be %s, not %s", wants(v.Type()), kindOf(n))
		return
	}
	text, referenced, err := d.references.replace(n.Value)
	if err != nil {
		d.problems.add(at(n), path, "%v", err)
		return
	}
	d.referenced[path] = referenced
	if err := setScalar(v, text, r); err != nil {
		subject := "the value"
		if !referenced && text != "" && v.Type() != secretType && v.Type() != urlType {
			subject = strconv.Quote(clip(text))
		}
		d.problems.add(at(n), path, "%s %v", subject, err)
	}
}

// setScalar reads text into v. Its errors complete a sentence that begins with
// the value.
func setScalar(v reflect.Value, text string, r rule) error {
	switch {
	case v.Type() == durationType:
		parsed, err := ParseDuration(text)
		if err == nil {
			v.SetInt(int64(parsed))
		}
		return err
	case v.Type() == sizeType:
		parsed, err := ParseSize(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(parsed))
		return r.bounds(int64(parsed), func(n int64) string { return Size(n).String() })
	case v.Type() == rateType:
		parsed, err := ParseRate(text)
		if err == nil {
			v.SetInt(int64(parsed))
		}
		return err
	case v.Kind() == reflect.String:
		v.SetString(text)
		return r.text(text)
	case v.Kind() == reflect.Bool:
		parsed, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil || len(text) == 1 {
			return fmt.Errorf("must be true or false")
		}
		v.SetBool(parsed)
		return nil
	default:
		parsed, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("must be a whole number")
		}
		v.SetInt(parsed)
		return r.bounds(parsed, func(n int64) string { return strconv.FormatInt(n, 10) })
	}
}

// target follows an alias to the node it stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

func wants(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration"
	case t == sizeType:
		return "a size"
	case t == rateType:
		return "an amount of USD"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	default:
		return "a whole number"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// clip shortens text from the file for a problem.
func clip(text string) string {
	const most = 48
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
