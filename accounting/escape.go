package accounting

import "math"

// appendUnescaped appends src, the inside of a JSON string, with its escapes resolved.
func appendUnescaped(dst, src []byte) []byte {
	for len(src) > 0 {
		dst, src = unescapeNext(dst, src, math.MaxInt)
	}
	return dst
}

// appendEscaped appends src as the inside of a JSON string, so that it can be
// joined with fragments that were received in that form.
func appendEscaped(dst []byte, src string) []byte {
	const hex = "0123456789abcdef"
	for _, ch := range []byte(src) {
		switch {
		case ch == '"' || ch == '\\':
			dst = append(dst, '\\', ch)
		case ch < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
		default:
			dst = append(dst, ch)
		}
	}
	return dst
}
