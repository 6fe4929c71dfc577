package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/balance"
	"github.com/sluicehq/sluice/proxy/credential"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/anthropic"
	"github.com/sluicehq/sluice/translate/bedrock"
	"github.com/sluicehq/sluice/translate/cohere"
	"github.com/sluicehq/sluice/translate/gemini"
	"github.com/sluicehq/sluice/translate/ollama"
)

// provider is a configured vendor endpoint with its connections.
type provider struct {
	config.Provider
	pool *upstream.Pool
	// dialect is nil where the provider speaks OpenAI's, which is relayed.
	dialect translate.Dialect
	// auth is nil where the client's own credential is passed on, or there is none.
	auth   credential.Source
	quirks translate.Quirks // of what a request must avoid
	models listing
	// health and group are of the models that are not configured.
	health  *balance.Target
	group   *balance.Group
	timeout config.Duration // of connecting
	// runningUsage: it is asked for usage in every chunk.
	runningUsage atomic.Bool
	detection    detection
}

// place is where the provider's dialect is spoken.
func (p *provider) place() translate.Platform {
	return translate.Platform{Platform: p.Platform, Project: p.Project, Region: p.Region, APIVersion: p.APIVersion}
}

// authorize ends the head of a request with what proves to the provider who is calling,
// for which a token may have to be fetched first. r has the method and the body.
func (p *provider) authorize(ctx context.Context, head []byte, r credential.Request) ([]byte, error) {
	if p.auth != nil {
		line, _, _ := bytes.Cut(head, []byte(" HTTP/1.1\r\n"))
		_, target, _ := bytes.Cut(line, []byte(" "))
		r.Target, r.Host, r.Time = string(target), p.pool.Host(), time.Now()
		fields, err := p.auth.Fields(ctx, r)
		if err != nil {
			return head, err
		}
		for _, f := range fields {
			head = appendField(head, f.Name, f.Value)
		}
	}
	return append(head, "\r\n"...), nil
}

// dialects are those that have to be translated.
var dialects = map[string]translate.Dialect{
	config.DialectAnthropic: anthropic.Dialect{},
	config.DialectBedrock:   bedrock.Dialect{},
	config.DialectCohere:    cohere.Dialect{},
	config.DialectGemini:    gemini.Dialect{},
	config.DialectOllama:    ollama.Dialect{},
}

// openProviders opens the providers of a configuration, but for those that are the same
// as in the generation before.
func (s *Server) openProviders(cfg *config.Config, before *generation) ([]*provider, error) {
	var out, opened []*provider
	for _, p := range cfg.Providers {
		if kept := before.provider(p, cfg.Timeouts.Connect); kept != nil {
			out = append(out, kept)
			continue
		}
		one, err := s.openProvider(p, cfg.Timeouts.Connect)
		if err != nil {
			retire(opened, nil)
			return nil, fmt.Errorf("opening provider %s: %w", p.Name, err)
		}
		out, opened = append(out, one), append(opened, one)
	}
	return out, nil
}

// provider is the one that was made of the same settings; nil if there is none, also where
// it trusts authorities of a file, which may be another file by now.
func (g *generation) provider(p config.Provider, connect config.Duration) *provider {
	if g == nil || p.CAFile != "" {
		return nil
	}
	one := g.routes.byName[p.Name]
	if one == nil || one.timeout != connect || !reflect.DeepEqual(one.Provider, p) {
		return nil
	}
	return one
}

func (s *Server) openProvider(p config.Provider, connect config.Duration) (*provider, error) {
	base := p.Endpoint()
	if p.Dialect == config.DialectSim {
		base = s.simulator
	}
	pool, err := upstream.NewPool(upstream.Options{
		BaseURL: base, CAFile: p.CAFile, Watcher: s.watcher, DenyPrivate: p.DenyPrivate,
		ConnectTimeout: orUnlimited(connect.Std()), IdleConn: orNone(p.IdleConn.Std()),
	})
	if err != nil {
		return nil, err
	}
	one := &provider{Provider: p, pool: pool, dialect: dialects[p.Dialect], timeout: connect}
	if one.quirks, err = requestQuirks(p); err != nil {
		return nil, err
	}
	if one.auth, err = newAuth(s.life, p); err != nil {
		return nil, err
	}
	ask, detect := p.ContinuousUsageSetting()
	one.runningUsage.Store(ask)
	one.detection.wanted = detect && p.AsksUsage() // it implies that
	return one, nil
}

// requestQuirks are the quirks of a provider that concern its requests: the configured
// ones, and what its address tells.
func requestQuirks(p config.Provider) (translate.Quirks, error) {
	names := slices.DeleteFunc(slices.Clone(p.Quirks), func(q string) bool { return q == config.QuirkThinkTags })
	quirks, err := translate.ParseQuirks(names)
	host := ""
	if u, err := url.Parse(p.Endpoint()); err == nil {
		host = u.Hostname()
	}
	if !strings.HasSuffix(host, ".googleapis.com") { // which wants extra_content back
		quirks |= translate.DropExtras
	}
	if p.Dialect == config.DialectAzure || host == "api.openai.com" { // which have no reasoning_content
		quirks |= translate.DropReasoning
	}
	return quirks, err
}

// newAuth is how sluice proves to the provider who is calling; nil where something else
// does. The clouds have their own ways, found in the environment as their SDKs find
// them; what they fetch in the background ends with life.
func newAuth(life context.Context, p config.Provider) (credential.Source, error) {
	switch p.Credential() {
	case config.CredentialAWS:
		return credential.AWS(life, p.Region, "bedrock")
	case config.CredentialGoogle:
		return credential.Google(life)
	case config.CredentialKey:
		if name := p.KeyHeader(); name != credentialHeaders[0] {
			return credential.Header(name, string(p.APIKey)), nil
		}
		return credential.Bearer(string(p.APIKey)), nil
	}
	return nil, nil
}

// bills is what the provider charges for an answer that was cut.
func (p *provider) bills(stream bool) string {
	if stream {
		return p.Billing()
	}
	return p.BillingWhole()
}

// passesCredential tells whether the client's own key is passed on.
func (p *provider) passesCredential() bool { return p.Credential() == config.CredentialClient }

// ask is what sluice asks this provider for on its own account.
func (p *provider) ask() translate.Ask {
	return translate.Ask{IncludeUsage: p.AsksUsage(), ContinuousUsage: p.runningUsage.Load(), Quirks: p.quirks}
}

// replaces tells whether the configuration of p sets the header name itself.
func (p *provider) replaces(name string) bool {
	for k := range p.Headers {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

// deployed are the endpoints that Azure's versioned form has below a deployment.
var deployed = map[string]bool{
	"chat/completions": true, "completions": true, "embeddings": true,
	"audio/speech": true, "audio/transcriptions": true, "audio/translations": true,
	"images/generations": true, "images/edits": true,
}

// relayPath is the path and query of a request that is relayed, below the base URL. In
// Azure's versioned form the configured version replaces one that the client names.
func (p *provider) relayPath(endpoint, model, query string) string {
	if p.Dialect != config.DialectAzure || p.APIVersion == "" {
		return "/" + endpoint + query
	}
	parts := slices.DeleteFunc(strings.Split(strings.TrimPrefix(query, "?"), "&"), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		return part == "" || strings.EqualFold(name, "api-version")
	})
	query = "?" + strings.Join(append(parts, "api-version="+url.QueryEscape(p.APIVersion)), "&")
	if model == "" || !deployed[endpoint] {
		return "/" + endpoint + query
	}
	return "/deployments/" + url.PathEscape(model) + "/" + endpoint + query
}

// foreignHeader tells whether a header of the client's, in lower case, reaches a provider
// of another dialect: what says who is calling and what the call belongs to, and what is
// meant for that provider.
func foreignHeader(name string, p *provider) bool {
	switch name {
	case "user-agent", "traceparent", "tracestate", "baggage":
		return true
	}
	return p.Dialect == config.DialectAnthropic && name == "anthropic-beta"
}

// appendOwn appends what the dialect itself wants in the head of a request.
func (p *provider) appendOwn(dst []byte, stream bool) []byte {
	dst = appendField(dst, "Content-Type", "application/json")
	if stream {
		dst = appendField(dst, "Accept", "text/event-stream, application/x-ndjson, application/vnd.amazon.eventstream, application/json")
	} else {
		dst = appendField(dst, "Accept", "application/json")
	}
	if p.Dialect == config.DialectAnthropic && p.Platform == translate.PlatformNone && !p.replaces("anthropic-version") {
		dst = appendField(dst, "Anthropic-Version", "2023-06-01")
	}
	return dst
}
