package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// unknownKey says what a key might have meant: a near one in the same mapping,
// or the place where a key of that name belongs.
func unknownKey(name, path string, fields []field) string {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("unknown key; did you mean %s?", near)
	}
	if places := keyPlaces()[name]; len(places) > 0 {
		return fmt.Sprintf("unknown key here; did you mean %s?", strings.Join(places, " or "))
	}
	where := "at the top level"
	if path != "" {
		where = "in " + path
	}
	return fmt.Sprintf("unknown key; known %s: %s", where, strings.Join(known, ", "))
}

// keyPlaces maps every key to the places it is known at, as in timeouts.idle and
// models[].targets[].weight.
var keyPlaces = sync.OnceValue(func() map[string][]string {
	places := map[string][]string{}
	var visit func(t reflect.Type, path string)
	visit = func(t reflect.Type, path string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			if t.Kind() == reflect.Slice {
				path += "[]"
			}
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		for _, f := range fieldsOf(t) {
			full := join(path, f.name)
			places[f.name] = append(places[f.name], full)
			visit(t.Field(f.index).Type, full)
		}
	}
	visit(reflect.TypeFor[Config](), "")
	return places
})

// nearest returns the one of known that word was most likely meant to be, or "".
func nearest(word string, known []string) string {
	plain := spelling(word)
	best, least := "", 1+max(1, len(plain)/3)
	for _, k := range known {
		if d := editDistance(plain, spelling(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// spelling drops what differs between the ways of writing a key: baseUrl,
// base-url and base_url.
func spelling(word string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(clip(word)))
}

// editDistance counts the single-byte insertions, deletions, replacements and
// swaps of neighbours that turn a into b.
func editDistance(a, b string) int {
	before := make([]int, len(b)+1)
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current := make([]int, len(b)+1)
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = slices.Min([]int{previous[j] + 1, current[j-1] + 1, previous[j-1] + cost})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous = previous, current
	}
	return previous[len(b)]
}
