package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// SecretURL is the URL of a server or a file that may hold a password. Every way of
// formatting, logging or marshalling it yields Redacted; convert it to string to use it.
type SecretURL string

// Redacted returns what RedactURL does.
func (u SecretURL) Redacted() string { return RedactURL(string(u)) }

// String returns Redacted.
func (u SecretURL) String() string { return u.Redacted() }

// GoString returns Redacted, for %#v.
func (u SecretURL) GoString() string { return u.Redacted() }

// MarshalText returns Redacted, for JSON and YAML.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.Redacted()), nil }

// LogValue returns Redacted, for slog.
func (u SecretURL) LogValue() slog.Value { return slog.StringValue(u.Redacted()) }

// RedactURL returns the scheme, the host and the path of a URL, without its user, its
// password and its query. What cannot be told apart for certain is "***": a password
// that should have been escaped can end up in any part. Of the query only the host of
// a PostgreSQL URL is kept that has none elsewhere, as with a socket.
func RedactURL(raw string) string {
	if raw == "" {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || !plainURL(raw, u) {
		return "***"
	}
	if u.Path == "" && u.Host == "" {
		return u.Scheme + ":"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if host := u.Query().Get("host"); u.Host == "" && host != "" && isPostgres(u.Scheme) {
		shown.RawQuery = url.Values{"host": {host}}.Encode()
	}
	return shown.String()
}

// plainURL reports that no part of a URL can be a piece of a password that was not
// escaped: behind a #, in front of an @ that does not end the user, or in a URL without
// its slashes. The path of a file may hold an @.
func plainURL(raw string, u *url.URL) bool {
	ats := strings.Count(raw, "@")
	if u.User != nil {
		ats--
	}
	return u.Scheme != "" && u.Opaque == "" && !strings.Contains(raw, "#") && (ats == 0 || u.Scheme == "sqlite")
}

func isPostgres(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }
