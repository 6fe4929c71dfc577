package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What the notes about a key may be at most: they go into every record of its requests.
const (
	maxMetadata      = 64  // notes
	maxMetadataBytes = 256 // of a name, and of a value
)

func (k *checker) keys() {
	aliases := make([]string, len(k.Keys))
	first := map[string]int{}
	for i := range k.Keys {
		key := &k.Keys[i]
		aliases[i] = key.Alias
		path := fmt.Sprintf("keys[%d]", i)
		k.keySettings(path, *key)
		if !k.digest(path+".sha256", key) {
			continue
		}
		if before, taken := first[key.SHA256]; taken {
			k.add(path+".sha256", "is the same key as keys[%d]", before)
			continue
		}
		first[key.SHA256] = i
	}
	k.uniqueNames("keys", "alias", "alias", aliases, validPlainName)
}

// key checks a key by itself, at path.
func (k *checker) key(path string, key *Key) {
	if key.Alias != "" {
		if err := validPlainName(key.Alias); err != nil {
			k.add(join(path, "alias"), "%s %v", k.show(join(path, "alias"), key.Alias), err)
		}
	}
	k.digest(join(path, "sha256"), key)
	k.keySettings(path, *key)
}

// digest checks the hash of a key, puts it into small letters, and reports whether it is
// there and good.
func (k *checker) digest(path string, key *Key) bool {
	switch {
	case key.SHA256 == "":
		return false
	case !hexDigest.MatchString(key.SHA256):
		// The value may be the key itself, so it is not quoted.
		k.add(path, "must be 64 hex digits: the SHA-256 of the key, as printed by sluice keys hash")
		return false
	}
	key.SHA256 = strings.ToLower(key.SHA256)
	return true
}

func (k *checker) keySettings(path string, key Key) {
	for i, pattern := range key.Models {
		k.modelPattern(fmt.Sprintf("%s[%d]", join(path, "models"), i), pattern)
	}
	k.metadata(join(path, "metadata"), key.Metadata)
	k.quota(join(path, "limits"), key.Limits)
}

// modelPattern checks the name of models that a key may ask for. One that no request can
// ever have is a mistake that would be noticed late, by a client.
func (k *checker) modelPattern(path, pattern string) {
	if err := validUpstreamModel(pattern); err != nil || strings.TrimSpace(pattern) == "" {
		k.add(path, "%s must be 1 to 256 bytes without control characters", k.show(path, pattern))
		return
	}
	if len(k.Models) == 0 {
		return
	}
	var names []string
	for _, m := range k.Models {
		names = append(append(names, m.Name), m.Aliases...)
	}
	if slices.ContainsFunc(names, func(name string) bool { return matchSome(pattern, name) }) ||
		slices.ContainsFunc(k.Providers, func(p Provider) bool { return mayBegin(pattern, p.Name+"/") }) {
		return
	}
	hint := ""
	if near := nearest(strings.ReplaceAll(pattern, "*", ""), names); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	k.add(path, "%s is the name of no model, and of no provider and a slash%s", k.show(path, pattern), hint)
}

// mayBegin reports whether pattern matches a longer name that begins with prefix.
func mayBegin(pattern, prefix string) bool {
	fixed, _, star := strings.Cut(pattern, "*")
	if len(fixed) > len(prefix) {
		return strings.HasPrefix(fixed, prefix)
	}
	return star && strings.HasPrefix(prefix, fixed)
}

func (k *checker) metadata(path string, notes map[string]string) {
	if len(notes) > maxMetadata {
		k.add(path, "holds %d notes; at most %d are kept", len(notes), maxMetadata)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		switch {
		case name == "" || len(name) > maxMetadataBytes || hasControl(name):
			k.add(path, "the name %q must be 1 to %d bytes without control characters", clip(name), maxMetadataBytes)
		case len(notes[name]) > maxMetadataBytes || hasControl(notes[name]):
			k.add(join(path, name), "must be at most %d bytes without control characters", maxMetadataBytes)
		}
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
