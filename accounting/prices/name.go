package prices

import (
	"slices"
	"strings"
)

// spellings returns the names that a model may have in a table, the most specific first:
// the name as it is, without what clouds put around it, and without its date.
//
//	us.anthropic.claude-sonnet-4-20250514-v1:0   claude-sonnet-4-20250514   claude-sonnet-4
//	publishers/google/models/gemini-2.5-pro      gemini-2.5-pro
//	claude-opus-4-1@20250805                     claude-opus-4-1
//	gpt-4o-2024-08-06                            gpt-4o
//
// No other part is ever taken off: gpt-4o-mini is no gpt-4o, and gpt-4-0613 no gpt-4.
func spellings(model string) []string {
	full := strings.ToLower(model)
	names := []string{full}
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	segment := full[strings.LastIndexByte(full, '/')+1:]
	add(segment)
	plain, _, _ := strings.Cut(segment, "@")
	owned := false
	for {
		owner, rest, ok := strings.Cut(plain, ".")
		if !ok || !isOwner(owner) {
			break
		}
		plain, owned = rest, true
	}
	if owned {
		plain = cutVersion(plain)
	}
	add(plain)
	add(undated(plain))
	return names
}

// isOwner tells whether the part before a dot is a region or a vendor, and no part of a
// model's name: those have digits there, as in gpt-4.1.
func isOwner(part string) bool {
	return part != "" && !strings.ContainsFunc(part, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })
}

// cutVersion removes Bedrock's -v1, -v1:0 or -v1:0:200k.
func cutVersion(name string) string {
	i := strings.LastIndex(name, "-v")
	if i < 0 {
		return name
	}
	version, _, _ := strings.Cut(name[i+len("-v"):], ":")
	if !allDigits(version) {
		return name
	}
	return name[:i]
}

// undated removes the day of a release, the number of a revision as Google writes it, or
// -latest. All of them cost the same unless a table says otherwise.
func undated(name string) string {
	if base, ok := strings.CutSuffix(name, "-latest"); ok {
		return base
	}
	for _, form := range []string{"-dddd-dd-dd", "-dddddddd", "-00d"} {
		if cut := len(name) - len(form); cut > 0 && hasForm(name[cut:], form) {
			return name[:cut]
		}
	}
	return name
}

// hasForm compares text with a form of the same length in which d is any digit.
func hasForm(text, form string) bool {
	for i := range len(form) {
		if form[i] == 'd' {
			if text[i] < '0' || text[i] > '9' {
				return false
			}
		} else if text[i] != form[i] {
			return false
		}
	}
	return true
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// matches tells whether a name fits a pattern, in which * stands for any text, also none.
func matches(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, behind, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], behind
	}
}
