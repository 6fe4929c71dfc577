package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluicehq/sluice/config"
)

// banner writes what is served and where, and commands to try it with. The
// addresses are those of the open listeners, in the form of the configuration
// ("127.0.0.1:8080", "[::]:8080", "unix:/path"); adminAddr is empty when there
// is no admin listener.
func banner(w io.Writer, cfg *config.Config, apiAddr, adminAddr string) {
	api := reachable(apiAddr, cfg.TLS != nil)
	admin := reachable(adminAddr, false)
	var b strings.Builder
	fmt.Fprintf(&b, "sluice %s\n\n", buildInfo().Version)
	fmt.Fprintf(&b, "  api        %s\n", api.shown("/v1"))
	if adminAddr != "" {
		fmt.Fprintf(&b, "  admin      %s\n", admin.shown(""))
	}
	for _, provider := range cfg.Providers {
		fmt.Fprintf(&b, "  provider   %s: %s, %s\n", provider.Name, providerURL(provider), providerKey(cfg, provider))
	}
	fmt.Fprintf(&b, "  models     %s\n", modelsLine(cfg))
	ledger, keep := ledgerPlace(cfg)
	fmt.Fprintf(&b, "  ledger     %s: %s\n", ledger, keep)
	if cfg.Redis != "" {
		fmt.Fprintf(&b, "  redis      %s\n", cfg.Redis.Redacted())
	}
	fmt.Fprintf(&b, "  config     %s, digest %s\n", originLine(cfg.Origin), cfg.Digest())
	if len(cfg.Keys) == 0 {
		b.WriteString("  open       no keys configured: anyone who can reach the API may use it\n")
	}
	writeExamples(&b, cfg, api, admin, adminAddr != "")
	_, _ = io.WriteString(w, b.String())
}

func originLine(origin config.Origin) string {
	switch origin {
	case config.OriginEnvironment:
		return "providers from the environment"
	case config.OriginSimulator:
		return "none, so the built-in simulator answers; set a vendor's key such as OPENAI_API_KEY, or write config.yaml"
	}
	return "from file"
}

func modelsLine(cfg *config.Config) string {
	if len(cfg.Models) == 0 {
		return "any name, to " + cfg.Providers[0].Name + "; provider/model picks another provider"
	}
	names := make([]string, len(cfg.Models))
	for i, model := range cfg.Models {
		names[i] = model.Name
	}
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// writeExamples writes commands that show what sluice is for.
func writeExamples(b *strings.Builder, cfg *config.Config, api, admin place, hasAdmin bool) {
	short, long := exampleModels(cfg)
	key := exampleKey(cfg)
	ask := func(options, model, prompt string) string {
		return fmt.Sprintf(`%s%s -H 'Content-Type: application/json' -d '{"model":"%s","stream":true,"messages":[{"role":"user","content":"%s"}]}'`,
			api.curl("-sN"+options, "/v1/chat/completions"), key, model, prompt)
	}
	example := func(title, command string) { fmt.Fprintf(b, "\n# %s\n%s\n", title, command) }
	example("a streamed answer", ask("", short, "Hello"))
	example("hang up after two seconds: the upstream is closed at once",
		ask(" --max-time 2 -H 'X-Request-Id: demo-hang-up'", long, "Tell me a long story"))
	example("the record of that: outcome, tokens until then, microseconds to close",
		api.curl("-s", "/v1/requests/demo-hang-up")+key)
	example("cancel by id: the stream ends well-formed",
		ask(" -H 'X-Request-Id: demo-cancel'", long, "Tell me a long story")+" &\nsleep 2; "+
			api.curl("-s -X POST", "/v1/requests/demo-cancel/cancel")+key+"; wait")
	if hasAdmin {
		adminKey := ""
		if cfg.Admin.NeedsKey() {
			adminKey = ` -H "Authorization: Bearer $SLUICE_ADMIN_KEY"`
		}
		example("the metrics", admin.curl("-s", "/metrics")+adminKey+" | grep ^sluice_")
	}
	b.WriteByte('\n')
}

// exampleModels returns a model for a short and one for a long answer.
func exampleModels(cfg *config.Config) (short, long string) {
	if len(cfg.Models) > 0 {
		return cfg.Models[0].Name, cfg.Models[0].Name
	}
	first := cfg.Providers[0]
	if first.Dialect == config.DialectSim {
		return "sim", "sim-long"
	}
	name := vendorExamples[first.Dialect+first.Platform].model
	if name == "" {
		name = vendorExamples[first.Dialect].model
	}
	return name, name
}

// vendorExamples hold a model of every dialect, by platform where it is called
// otherwise there, and the variable that people keep the vendor's key in.
var vendorExamples = map[string]struct{ model, keyVar string }{
	config.DialectOpenAI:                             {"gpt-4o-mini", "OPENAI_API_KEY"},
	config.DialectAzure:                              {"gpt-4o-mini", "AZURE_OPENAI_API_KEY"},
	config.DialectAnthropic:                          {"claude-haiku-4-5", "ANTHROPIC_API_KEY"},
	config.DialectAnthropic + config.PlatformVertex:  {model: "claude-haiku-4-5@20251001"},
	config.DialectAnthropic + config.PlatformBedrock: {model: "global.anthropic.claude-haiku-4-5-20251001-v1:0"},
	config.DialectGemini:                             {"gemini-2.5-flash", "GEMINI_API_KEY"},
	config.DialectCohere:                             {"command-r7b-12-2024", "COHERE_API_KEY"},
	config.DialectOllama:                             {"llama3.2", "OLLAMA_API_KEY"},
	config.DialectBedrock:                            {model: "amazon.nova-lite-v1:0"},
}

// exampleKey returns the header that the configuration asks a client for.
func exampleKey(cfg *config.Config) string {
	if len(cfg.Keys) > 0 {
		return ` -H "Authorization: Bearer $SLUICE_KEY"`
	}
	for _, provider := range cfg.Providers {
		local := provider.Dialect == config.DialectOllama && provider.BaseURL == "" // needs no key
		if provider.Credential() == config.CredentialClient && !local {
			return ` -H "Authorization: Bearer $` + vendorExamples[provider.Dialect].keyVar + `"`
		}
	}
	return ""
}

// place is a listener as a command on the same host reaches it.
type place struct{ scheme, host, socket string }

func reachable(listen string, tls bool) place {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	network, address := dialTarget(listen)
	if network == "unix" {
		return place{scheme: scheme, host: "localhost", socket: address}
	}
	return place{scheme: scheme, host: address}
}

// shown returns the URL of a path for people.
func (p place) shown(path string) string {
	url := p.scheme + "://" + p.host + path
	if p.socket != "" {
		return "unix:" + p.socket + " (" + url + ")"
	}
	return url
}

// curl returns the command that calls a path.
func (p place) curl(options, path string) string {
	socket := ""
	if p.socket != "" {
		socket = " --unix-socket " + shellQuote(p.socket)
	}
	return "curl " + options + socket + " " + p.scheme + "://" + p.host + path
}

// shellQuote quotes a path for a POSIX shell where it needs it.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("/._-", r)
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
