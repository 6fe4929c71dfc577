package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var modelName = regexp.MustCompile(`^[A-Za-z0-9*][A-Za-z0-9._:@/+*-]{0,127}$`)

var errStars = errors.New("must not hold more than one *")

// validModelName checks a name or an alias of a model.
func validModelName(name string) error {
	switch {
	case name == reservedName:
		return errors.New("is reserved: metrics use it for whatever is not configured")
	case !modelName.MatchString(name):
		return errors.New("must be 1 to 128 letters, digits or any of . _ : @ / + - and begin with a letter or digit; one * may stand for any characters")
	case strings.Count(name, "*") > 1:
		return errStars
	}
	return nil
}

// validUpstreamModel only keeps out what cannot be part of any model name;
// vendors are free in theirs.
func validUpstreamModel(name string) error {
	if len(name) > 256 || hasControl(name) {
		return errors.New("must be at most 256 bytes without control characters")
	}
	return nil
}

func (k *checker) models() {
	known := make([]string, len(k.Providers))
	for i, p := range k.Providers {
		known[i] = p.Name
	}
	taken := map[string]string{}
	for i, m := range k.Models {
		path := fmt.Sprintf("models[%d]", i)
		if m.Name != "" {
			k.modelName(path+".name", m.Name, "the name of "+path, taken)
		}
		for j, alias := range m.Aliases {
			k.modelName(fmt.Sprintf("%s.aliases[%d]", path, j), alias, "an alias of "+path, taken)
		}
		k.targets(path, m, known)
		k.quota(path+".limits", m.Limits)
		k.sticky(path+".sticky", m.Sticky)
		k.fallback(path, m)
		if m.HedgeAfter > 0 && k.Retry.Attempts < 2 && !k.broken["retry.attempts"] {
			k.add(path+".hedge_after", "needs retry.attempts of at least 2, because the second call counts")
		}
	}
	k.fallbackCircles()
}

// modelName checks a name that clients may ask for. taken says what the earlier ones are.
func (k *checker) modelName(path, name, what string, taken map[string]string) {
	if err := validModelName(name); err != nil {
		k.add(path, "%s %v", k.show(path, name), err)
		return
	}
	if before := taken[name]; before != "" {
		k.add(path, "model %s is already %s", strconv.Quote(clip(name)), before)
		return
	}
	taken[name] = what
}

func (k *checker) targets(path string, m Model, known []string) {
	list := path + ".targets"
	if _, given := k.positions[list]; given && len(m.Targets) == 0 {
		k.add(list, "must name at least one target")
	}
	for j, t := range m.Targets {
		at := fmt.Sprintf("%s[%d]", list, j)
		if t.Provider != "" {
			k.knownProvider(at+".provider", t.Provider, known)
		}
		if err := validUpstreamModel(t.Model); err != nil {
			k.add(at+".model", "%s %v", k.show(at+".model", t.Model), err)
			continue
		}
		k.wildTarget(path, at+".model", m, t)
	}
}

// wildTarget checks that something stands for the * in the model of a target, by
// whatever name clients ask for it.
func (k *checker) wildTarget(path, at string, m Model, t Target) {
	switch strings.Count(t.upstream(m), "*") {
	case 0:
		return
	case 1:
	default:
		if t.Model != "" { // else the name has been refused
			k.add(at, "%s %v", k.show(at, t.Model), errStars)
		}
		return
	}
	if !isPattern(m.Name) {
		k.add(at, "%s holds a *, but the name of the model has none that could say what it stands for", k.show(at, t.Model))
		return
	}
	for i, alias := range m.Aliases {
		if isPattern(alias) {
			continue
		}
		place, source := fmt.Sprintf("%s.aliases[%d]", path, i), at
		if t.Model == "" {
			source = path + ".name"
		}
		k.add(place, "%s needs a *, which says what the one in the target's model %s stands for",
			k.show(place, alias), k.show(source, t.upstream(m)))
		k.broken[place] = true // one problem is enough for all targets
	}
}

// sticky checks what says which requests belong together.
func (k *checker) sticky(path, by string) {
	switch {
	case by == "" || by == StickyKey:
	case !isToken(by):
		k.add(path, "%s is neither key nor the name of a header", k.show(path, by))
	case strings.EqualFold(by, StickyKey):
		k.add(path, "%s must be written in small letters: key", k.show(path, by))
	case strings.Contains(by, "_"):
		k.add(path, "%s holds an underscore; headers with one are dropped", k.show(path, by))
	}
}

func (k *checker) fallback(path string, m Model) {
	at := path + ".fallback_on"
	_, written := k.positions[at]
	switch {
	case written && m.Fallback == "":
		k.add(at, "has no meaning without fallback")
	case written && len(m.FallbackOn) == 0:
		k.add(at, "must name at least one; leave it out for both")
	}
	for i, reason := range m.FallbackOn {
		if reason != "" && slices.Contains(m.FallbackOn[:i], reason) {
			k.add(fmt.Sprintf("%s[%d]", at, i), "is listed twice")
		}
	}
	if m.Fallback == "" {
		return
	}
	at = path + ".fallback"
	switch i := k.modelNamed(m.Fallback); {
	case m.Fallback == m.Name:
		k.add(at, "must be another model")
	case isPattern(m.Fallback):
		k.add(at, "%s stands for many models; name one without a *", k.show(at, m.Fallback))
	case i < 0:
		k.add(at, "no model is named %s%s", k.show(at, m.Fallback), k.meantModel(m.Fallback))
	}
}

func (k *checker) modelNamed(name string) int {
	return slices.IndexFunc(k.Models, func(m Model) bool { return m.Name == name })
}

// meantModel is a hint at the model that was meant: the one that has name as an alias,
// or one with a name that is near.
func (k *checker) meantModel(name string) string {
	var names []string
	for _, m := range k.Models {
		if isPattern(m.Name) {
			continue
		}
		if slices.Contains(m.Aliases, name) {
			return fmt.Sprintf("; did you mean %s?", m.Name)
		}
		names = append(names, m.Name)
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

// fallbackCircles reports fallbacks that lead back to where they began, each circle once.
func (k *checker) fallbackCircles() {
	next := map[string]string{}
	for _, m := range k.Models {
		if m.Fallback != m.Name {
			next[m.Name] = m.Fallback
		}
	}
	firstMet := map[string]int{} // the walk that met a name first, counted from 1
	for walk, m := range k.Models {
		for name := m.Name; next[name] != ""; name = next[name] {
			if firstMet[name] == walk+1 {
				k.circle(name, next)
			}
			if firstMet[name] != 0 {
				break
			}
			firstMet[name] = walk + 1
		}
	}
}

// circle reports a circle of fallbacks at the model that it begins with.
func (k *checker) circle(first string, next map[string]string) {
	const most = 8 // names that are shown
	names := []string{first}
	for name := next[first]; name != first; name = next[name] {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, clip(name))
	}
	k.add(fmt.Sprintf("models[%d].fallback", k.modelNamed(first)), "leads in a circle: %s", strings.Join(append(names, first), ", "))
}
