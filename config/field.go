package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// field is one key of a mapping, as the tags of its struct member declare it.
type field struct {
	name  string
	index int
	doc   string
	rule  rule
	// omitEmpty means that a value that is not set is left out of what is written.
	omitEmpty bool
	// live is the tag that says whether a reload can change the value: true, false, or
	// empty for what holds of the mapping around it.
	live string
}

// rule is what a single value must satisfy on its own.
type rule struct {
	required bool
	enum     []string
	min, max int64 // both 0 when there are no bounds
}

// fieldsOf lists the keys of a mapping that is decoded into t, in the order of
// the struct.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		member := t.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		f := field{name: name, index: i, doc: member.Tag.Get("doc"), omitEmpty: options == "omitempty", live: member.Tag.Get("live")}
		f.rule.required = member.Tag.Get("required") == "true"
		if enum := member.Tag.Get("enum"); enum != "" {
			f.rule.enum = strings.Split(enum, ",")
		}
		f.rule.min, _ = strconv.ParseInt(member.Tag.Get("min"), 10, 64)
		f.rule.max, _ = strconv.ParseInt(member.Tag.Get("max"), 10, 64)
		list = append(list, f)
	}
	return list
}

func (r rule) text(s string) error {
	if s == "" && r.required {
		return errors.New("must not be empty")
	}
	if r.enum == nil || slices.Contains(r.enum, s) {
		return nil
	}
	hint := ""
	if near := nearest(s, r.enum); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("is not one of %s%s", strings.Join(r.enum, ", "), hint)
}

func (r rule) bounds(n int64, show func(int64) string) error {
	switch {
	case r.min == 0 && r.max == 0:
		return nil
	case n < r.min:
		return fmt.Errorf("is less than %s", show(r.min))
	case n > r.max:
		return fmt.Errorf("is more than %s", show(r.max))
	}
	return nil
}
