package config

import "strings"

// MatchName reports whether name is pattern, in which a * stands for any run of
// characters, slashes and none at all included. wild is what the * stands for, the last
// one if there are several, as there may be in the models of a key.
func MatchName(pattern, name string) (wild string, ok bool) {
	fixed, rest, star := strings.Cut(pattern, "*")
	if !star {
		return "", pattern == name
	}
	wild, ok = strings.CutPrefix(name, fixed)
	if !ok {
		return "", false
	}
	for {
		fixed, rest, star = strings.Cut(rest, "*")
		if !star {
			break
		}
		i := strings.Index(wild, fixed)
		if i < 0 {
			return "", false
		}
		wild = wild[i+len(fixed):]
	}
	if wild, ok = strings.CutSuffix(wild, fixed); !ok {
		return "", false
	}
	return wild, true
}

// SubstituteName returns pattern with its * replaced by what MatchName says one stands
// for. A pattern without a * is the name itself.
func SubstituteName(pattern, wild string) string { return strings.Replace(pattern, "*", wild, 1) }

// isPattern reports whether the name of a model stands for many.
func isPattern(name string) bool { return strings.Contains(name, "*") }

// matchSome reports whether there is a name that both patterns match. Between what two
// of them begin with and what they end with, there is room for anything.
func matchSome(a, b string) bool {
	if !isPattern(a) {
		_, ok := MatchName(b, a)
		return ok
	}
	if !isPattern(b) {
		_, ok := MatchName(a, b)
		return ok
	}
	beginA, _, _ := strings.Cut(a, "*")
	beginB, _, _ := strings.Cut(b, "*")
	endA, endB := a[strings.LastIndex(a, "*")+1:], b[strings.LastIndex(b, "*")+1:]
	return (strings.HasPrefix(beginA, beginB) || strings.HasPrefix(beginB, beginA)) &&
		(strings.HasSuffix(endA, endB) || strings.HasSuffix(endB, endA))
}
