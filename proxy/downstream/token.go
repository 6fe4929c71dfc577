package downstream

import (
	"bytes"
	"net/netip"
)

// tokenChars are the characters of a token (RFC 9110, 5.6.2).
var tokenChars = charSet("!#$%&'*+-.^_`|~" + alphanumeric)

// hostChars are those of a host name (RFC 3986, 3.2.2) but for escapes: no name that
// is served needs one.
var (
	hostChars = charSet("-._~!$&'()*+,;=" + alphanumeric)
	digits    = charSet("0123456789")
)

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func charSet(chars string) (set [256]bool) {
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return set
}

func isToken(b []byte) bool { return allIn(b, &tokenChars) }

// isAuthority tells whether b is a host with an optional port, without user
// information.
func isAuthority(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	host := hostOf(b)
	port := b[len(host):]
	if b[0] == '[' {
		if len(b) < len(host)+2 {
			return false
		}
		port = b[len(host)+2:]
		if ip, err := netip.ParseAddr(string(host)); err != nil || !ip.Is6() || ip.Zone() != "" {
			return false
		}
	} else if !allIn(host, &hostChars) {
		return false
	}
	return len(port) == 0 || port[0] == ':' && (len(port) == 1 || allIn(port[1:], &digits))
}

// hostOf is the host of an authority, without its brackets.
func hostOf(authority []byte) []byte {
	if authority[0] == '[' {
		host, _, _ := bytes.Cut(authority[1:], []byte{']'})
		return host
	}
	host, _, _ := bytes.Cut(authority, []byte{':'})
	return host
}

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
