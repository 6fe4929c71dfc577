package modeldata

import "strings"

// plainName strips a model's name, in lower case, of what vendors and clouds put around
// it, so that one pattern is enough for a model wherever it is hosted:
//
//	us.anthropic.claude-sonnet-4-20250514-v1:0   Bedrock, also at the end of an ARN
//	publishers/google/models/gemini-2.5-pro      Vertex AI
//	claude-opus-4-1@20250805                     Vertex AI
//	anthropic/claude-3.7-sonnet                  OpenRouter and others
func plainName(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, "@")
	bedrock := false
	for {
		owner, rest, ok := strings.Cut(name, ".")
		if !ok || !isOwner(owner) {
			break
		}
		name, bedrock = rest, true
	}
	if bedrock {
		name = cutVersion(name)
	}
	return name
}

// isOwner tells whether the part before a dot can be a region or a vendor, and is no
// part of a model's name: those have digits there, as in gpt-4.1.
func isOwner(part string) bool {
	for _, c := range []byte(part) {
		if c != '-' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return part != ""
}

// cutVersion removes Bedrock's -v1, -v1:0 or -v1:0:200k.
func cutVersion(name string) string {
	i := strings.LastIndex(name, "-v")
	if i < 0 {
		return name
	}
	version, _, _ := strings.Cut(name[i+len("-v"):], ":")
	if version == "" || strings.Trim(version, "0123456789") != "" {
		return name
	}
	return name[:i]
}

// matches tells whether a name fits a pattern, in which * stands for any text, also
// none, and ? for any one byte.
func matches(pattern, name string) bool {
	star, retry := -1, 0 // the last star, and where in the name to go on behind it
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			retry++
			p, n = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
