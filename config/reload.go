package config

import (
	"reflect"
	"slices"
)

// FixedChanges lists the settings that differ between two configurations and cannot take
// effect while sluice runs, sorted, as in "admin.listen" or "ledger". The tag live of a
// setting, or of the closest mapping around it, says that. Values are not shown.
func FixedChanges(old, next *Config) []string {
	c := fixedChanges{}
	c.compare(reflect.ValueOf(old).Elem(), reflect.ValueOf(next).Elem(), "", false)
	slices.Sort(c.paths)
	return c.paths
}

type fixedChanges struct{ paths []string }

// compare looks for differences between a and b, which are fixed or not unless a tag in
// them says otherwise. Nothing within a list is fixed by itself.
func (c *fixedChanges) compare(a, b reflect.Value, path string, fixed bool) {
	switch a.Kind() {
	case reflect.Pointer:
		if !a.IsNil() && !b.IsNil() {
			c.compare(a.Elem(), b.Elem(), path, fixed)
			return
		}
	case reflect.Struct:
		for _, f := range fieldsOf(a.Type()) {
			within := fixed
			if f.live != "" {
				within = f.live == "false"
			}
			c.compare(a.Field(f.index), b.Field(f.index), join(path, f.name), within)
		}
		return
	}
	if fixed && !same(a, b) {
		c.paths = append(c.paths, path)
	}
}

func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
