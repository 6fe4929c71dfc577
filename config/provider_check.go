package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
)

func (k *checker) providers() {
	names := make([]string, len(k.Providers))
	for i, p := range k.Providers {
		names[i] = p.Name
	}
	k.uniqueNames("providers", "name", "provider", names, validPlainName)
	if len(k.Providers) == 0 && !k.broken["providers"] {
		k.add("providers", "at least one is needed: list one, set %s, or add {name: sim, dialect: sim} to try sluice without a vendor", vendorKeys())
	}
	for i, p := range k.Providers {
		path := fmt.Sprintf("providers[%d]", i)
		if _, known := dialects[p.Dialect]; !known {
			continue
		}
		k.platform(path, p)
		k.chatMembers(path, p)
		k.quota(path+".limits", p.Limits)
		if p.Dialect == DialectSim {
			k.simulator(path, p)
		} else {
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
		{"deny_private", p.DenyPrivate},
	} {
		if member.set {
			k.add(path+"."+member.name, "the simulator is built in and takes no %s", member.name)
		}
	}
}

// chatMembers reports what only has a meaning where chat completions are spoken.
func (k *checker) chatMembers(path string, p Provider) {
	if !dialects[p.Dialect].chat {
		for _, name := range []string{"include_usage", "continuous_usage"} {
			if _, written := k.positions[path+"."+name]; written {
				k.add(path+"."+name, "has no meaning for the dialect %s, which reports usage unasked", p.Dialect)
			}
		}
	}
	if p.UsageLookup != nil && *p.UsageLookup && p.Dialect != DialectOpenAI {
		k.add(path+".usage_lookup", "is for servers that speak openai, not %s", p.Dialect)
	}
	if len(p.Quirks) > 0 && p.Dialect != DialectOpenAI && p.Dialect != DialectAzure {
		k.add(path+".quirks", "are for servers that speak openai or azure, not %s", p.Dialect)
		return
	}
	for i, quirk := range p.Quirks {
		if quirk != "" && slices.Contains(p.Quirks[:i], quirk) {
			k.add(fmt.Sprintf("%s.quirks[%d]", path, i), "is listed twice")
		}
	}
	if p.HasQuirk(QuirkMaxTokens) && p.HasQuirk(QuirkMaxCompletionTokens) {
		k.add(path+".quirks", "must not hold both %s and %s: each says that the server takes no other", QuirkMaxTokens, QuirkMaxCompletionTokens)
	}
}

// remote checks a provider that is reached over the network. URLs and headers
// are never quoted: people put credentials into them.
func (k *checker) remote(path string, p Provider) {
	switch {
	case p.BaseURL == "" && dialects[p.Dialect].example != "":
		k.add(path+".base_url", "is required for the dialect %s, as in %s", p.Dialect, dialects[p.Dialect].example)
	case p.BaseURL != "" || p.Endpoint() != "":
		if err := k.validBaseURL(p); err != nil {
			k.add(path+".base_url", "%v", err)
		}
	}
	if _, written := k.positions[path+".api_key"]; written && p.APIKey == "" {
		// Most likely a secret that was not handed over; passing the clients'
		// own credentials to the vendor instead must not happen by accident.
		instead := "to pass the client's own credential through"
		if p.OnBedrock() || p.Platform != PlatformNone {
			instead = "to use the credentials of the machine"
		}
		k.add(path+".api_key", "is empty; leave it out %s", instead)
	}
	if err := validHeaderValue(string(p.APIKey)); err != nil {
		k.add(path+".api_key", "%v", err)
	}
	k.headers(path+".headers", p)
	if u, err := url.Parse(p.Endpoint()); err == nil && p.DenyPrivate && isPrivate(u.Hostname()) {
		k.add(path+".deny_private", "refuses the provider's own address, which is not public")
	}
	if p.CAFile != "" {
		k.caFile(path+".ca_file", p.CAFile)
	}
}

func (k *checker) headers(path string, p Provider) {
	names := make([]string, 0, len(p.Headers))
	for name := range p.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		header := path + "." + name
		if err := p.validHeaderName(name); err != nil {
			k.add(header, "%v", err)
		} else if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(other, name) }) {
			k.add(header, "is set twice in different cases")
		}
		if err := validHeaderValue(string(p.Headers[name])); err != nil {
			k.add(header, "%v", err)
		}
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

// connectionHeaders belong to the connection or to the body, which sluice frames
// itself.
var connectionHeaders = []string{
	"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive",
	"Proxy-Connection", "Te", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
}

// signatureHeaders are part of a signature with AWS credentials.
var signatureHeaders = []string{"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// isToken reports whether name can be that of a header, by RFC 9110.
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func (p Provider) validHeaderName(name string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !isToken(name):
		return errors.New("is not a header name")
	case slices.Contains(connectionHeaders, canonical):
		return errors.New("is set by sluice itself")
	case p.APIKey != "" && canonical == p.KeyHeader():
		return errors.New("is set from api_key; give only one of them")
	case p.Credential() == CredentialAWS && slices.Contains(signatureHeaders, canonical):
		return errors.New("is set by the signature of the request")
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
