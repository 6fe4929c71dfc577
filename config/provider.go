package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// dialectPrefix is what follows the host in the base URL of a vendor when none
// is configured.
var dialectPrefix = map[string]string{
	DialectOpenAI: "/v1",
}

// Endpoint returns the URL that the endpoints of the dialect are appended to,
// without a trailing slash: the base URL as it is when it has a path, and with
// the usual prefix of the dialect when it has none. It is empty for the
// simulator, which has no address.
func (p Provider) Endpoint() string {
	u, err := url.Parse(p.BaseURL)
	if p.Dialect == DialectSim || err != nil || p.BaseURL == "" {
		return ""
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = dialectPrefix[p.Dialect], ""
	}
	return strings.TrimRight(u.String(), "/")
}

func (k *checker) providers() {
	names := make([]string, len(k.Providers))
	for i, p := range k.Providers {
		names[i] = p.Name
	}
	k.uniqueNames("providers", "name", "provider", names, validPlainName)
	if len(k.Providers) == 0 && !k.broken["providers"] {
		k.add("providers", "at least one is needed: list one, set OPENAI_API_KEY, or add {name: sim, dialect: sim} to try sluice without a vendor")
	}
	for i, p := range k.Providers {
		path := fmt.Sprintf("providers[%d]", i)
		switch p.Dialect {
		case DialectSim:
			k.simulator(path, p)
		case DialectOpenAI:
			k.remote(path, p)
		}
	}
}

// simulator reports what has no meaning for the built-in simulator, because
// ignoring it would hide a mistaken dialect.
func (k *checker) simulator(path string, p Provider) {
	for _, member := range []struct {
		name string
		set  bool
	}{
		{"base_url", p.BaseURL != ""},
		{"api_key", p.APIKey != ""},
		{"headers", len(p.Headers) > 0},
		{"ca_file", p.CAFile != ""},
	} {
		if member.set {
			k.add(path+"."+member.name, "the simulator is built in and takes no %s", member.name)
		}
	}
}

// remote checks a provider that is reached over the network. URLs and headers
// are never quoted: people put credentials into them.
func (k *checker) remote(path string, p Provider) {
	if p.BaseURL == "" {
		k.add(path+".base_url", "is required for the dialect %s, as in https://api.openai.com/v1", p.Dialect)
	} else if err := k.validBaseURL(p.BaseURL); err != nil {
		k.add(path+".base_url", "%v", err)
	}
	if _, written := k.positions[path+".api_key"]; written && p.APIKey == "" {
		// Most likely a secret that was not handed over; passing the clients'
		// own credentials to the vendor instead must not happen by accident.
		k.add(path+".api_key", "is empty; leave it out to pass the client's own credential through")
	}
	if err := validHeaderValue(string(p.APIKey)); err != nil {
		k.add(path+".api_key", "%v", err)
	}
	names := make([]string, 0, len(p.Headers))
	for name := range p.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		header := path + ".headers." + name
		if err := validHeaderName(name, p.APIKey != ""); err != nil {
			k.add(header, "%v", err)
		} else if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(other, name) }) {
			k.add(header, "is set twice in different cases")
		}
		if err := validHeaderValue(string(p.Headers[name])); err != nil {
			k.add(header, "%v", err)
		}
	}
	if p.CAFile != "" {
		k.caFile(path+".ca_file", p.CAFile)
	}
}

func (k *checker) caFile(path, name string) {
	if why := unreadable(name); why != "" {
		k.add(path, "the file %s cannot be read: %s", k.show(path, name), why)
		return
	}
	content, err := os.ReadFile(name)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(content) {
		k.add(path, "the file %s holds no certificate in PEM form", k.show(path, name))
	}
}

// operationSuffixes end the URL of an operation rather than a base URL.
var operationSuffixes = []string{"/chat/completions", "/completions", "/embeddings", "/models", "/responses"}

func (k *checker) validBaseURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL; write it as https://host/v1")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with https:// or http://")
	case u.User != nil:
		return errors.New("must not hold a user or password; use api_key or headers")
	case u.Hostname() == "":
		return errors.New("names no host")
	case strings.ContainsAny(raw, "?#"):
		return errors.New("must not hold a query or a fragment")
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("must be plain ASCII without spaces")
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		return errors.New("must not hold a .. in its path")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("has a port that is not between 1 and 65535")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return errors.New("has an empty port")
	}
	for _, suffix := range operationSuffixes {
		if base, ok := strings.CutSuffix(strings.TrimRight(u.Path, "/"), suffix); ok {
			return fmt.Errorf("ends in %s, which sluice adds itself; stop at %q", suffix, base)
		}
	}
	if k.isOwn(u) {
		return errors.New("is the address sluice itself listens on, so every request would come back in")
	}
	return nil
}

// isOwn reports whether u leads back to the API listener. A shell that sends
// clients to sluice through OPENAI_BASE_URL would otherwise close a loop when
// sluice is started from it.
func (k *checker) isOwn(u *url.URL) bool {
	api, err := parseAddress(k.Listen)
	if err != nil || api.socket != "" {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != strconv.Itoa(api.port) {
		return false
	}
	host := u.Hostname()
	here := isLoopback(host) || address{host: host}.everyHost()
	return here && (api.everyHost() || api.loopback()) || strings.EqualFold(host, api.host)
}

// connectionHeaders belong to the connection or to the body, which sluice frames
// itself.
var connectionHeaders = []string{
	"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive",
	"Proxy-Connection", "Te", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
}

func validHeaderName(name string, hasKey bool) error {
	token := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !token(r) }):
		return errors.New("is not a header name")
	case slices.Contains(connectionHeaders, canonical):
		return errors.New("is set by sluice itself")
	case hasKey && canonical == "Authorization":
		return errors.New("is set from api_key; give only one of them")
	}
	return nil
}

func validHeaderValue(value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errors.New("holds a line break or another control character, which no header can carry")
	}
	if strings.TrimSpace(value) != value {
		return errors.New("begins or ends with a space")
	}
	return nil
}

// unreadable says why a regular file cannot be opened; "" when it can.
func unreadable(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return reason(err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return "is a directory"
	}
	return ""
}
