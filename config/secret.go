package config

import "log/slog"

// Secret is a string that must not be shown. Every way of formatting, logging
// or marshalling it yields Masked; convert it to string to use it.
type Secret string

// Masked returns "***" and the last four characters, which tell two keys apart.
// A value too short to hide the rest shows none of its characters; an empty one
// is "".
func (s Secret) Masked() string {
	switch n := len(s); {
	case n == 0:
		return ""
	case n < 12:
		return "***"
	default:
		return "***" + string(s[n-4:])
	}
}

// String returns Masked.
func (s Secret) String() string { return s.Masked() }

// GoString returns Masked, for %#v.
func (s Secret) GoString() string { return s.Masked() }

// MarshalText returns Masked, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Masked()), nil }

// LogValue returns Masked, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.Masked()) }
