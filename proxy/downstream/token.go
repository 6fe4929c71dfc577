package downstream

import "bytes"

// tokenChars are the characters of a token (RFC 9110, 5.6.2).
var tokenChars = charSet("!#$%&'*+-.^_`|~" + alphanumeric)

// authorityChars are those of a host with an optional port (RFC 3986, 3.2),
// without user information.
var authorityChars = charSet("-._~%!$&'()*+,;=:[]" + alphanumeric)

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func charSet(chars string) (set [256]bool) {
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return set
}

func isToken(b []byte) bool { return allIn(b, &tokenChars) }

func isAuthority(b []byte) bool { return allIn(b, &authorityChars) }

func allIn(b []byte, set *[256]bool) bool {
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares b with lower, which is in lower case, ignoring the case of
// ASCII letters only: a Kelvin sign is not a k in a protocol element.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// listHas tells whether the comma-separated list b has the member lower.
func listHas(b []byte, lower string) bool {
	for len(b) > 0 {
		var member []byte
		member, b, _ = bytes.Cut(b, []byte{','})
		if equalFold(bytes.Trim(member, " \t"), lower) {
			return true
		}
	}
	return false
}
