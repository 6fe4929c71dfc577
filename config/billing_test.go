package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBilling(t *testing.T) {
	f := func(p Provider, stream, whole string) {
		t.Helper()
		require.Equal(t, stream, p.Billing(), p.Endpoint())
		require.Equal(t, whole, p.BillingWhole(), p.Endpoint())
	}
	at := func(url string) Provider { return Provider{Dialect: DialectOpenAI, BaseURL: url} }

	f(Provider{Dialect: DialectSim}, MayBillNone, MayBillNone)
	f(Provider{Dialect: DialectOllama}, MayBillNone, MayBillNone)
	f(Provider{Dialect: DialectOllama, BaseURL: "http://gpu-1:11434"}, MayBillNone, MayBillNone)
	f(Provider{Dialect: DialectOllama, BaseURL: "http://10.0.0.7:11434"}, MayBillNone, MayBillNone)
	f(Provider{Dialect: DialectOllama, BaseURL: "https://ollama.com"}, MayBillUnknown, MayBillUnknown)
	f(Provider{Dialect: DialectOllama, BaseURL: "https://models.example"}, MayBillUnknown, MayBillUnknown)

	f(at("https://api.openai.com"), MayBillPartial, MayBillFull)
	f(at("https://API.OpenAI.com.:443/v1"), MayBillPartial, MayBillFull)
	f(Provider{Dialect: DialectAzure, BaseURL: "https://name.openai.azure.com"}, MayBillPartial, MayBillFull)
	f(Provider{Dialect: DialectAnthropic}, MayBillPartial, MayBillFull)
	f(Provider{Dialect: DialectCohere}, MayBillPartial, MayBillFull)
	f(Provider{Dialect: DialectGemini}, MayBillFull, MayBillFull)
	f(at("https://generativelanguage.googleapis.com/v1beta/openai"), MayBillFull, MayBillFull)
	f(at("https://api.groq.com/openai/v1"), MayBillFull, MayBillFull)
	f(Provider{Dialect: DialectBedrock, Region: "us-east-1"}, MayBillFull, MayBillFull)
	f(Provider{Dialect: DialectAnthropic, Platform: PlatformBedrock, BaseURL: "https://gateway.example"}, MayBillFull, MayBillFull)
	f(Provider{Dialect: DialectAnthropic, Platform: PlatformVertex, Region: "eu"}, MayBillFull, MayBillFull)

	f(at("https://openrouter.ai/api/v1"), MayBillUnknown, MayBillFull)
	f(at("http://localhost:8000"), MayBillUnknown, MayBillUnknown)
	f(at("https://notapi.openai.com.example"), MayBillUnknown, MayBillUnknown)
	f(at("https://xapi.openai.com"), MayBillUnknown, MayBillUnknown)
	f(at("::"), MayBillUnknown, MayBillUnknown)

	// What is configured goes before what is known.
	for _, configured := range []string{MayBillNone, MayBillPartial, MayBillFull, MayBillUnknown} {
		f(Provider{Dialect: DialectAnthropic, MayBill: configured}, configured, configured)
		f(Provider{Dialect: DialectOpenAI, BaseURL: "https://openrouter.ai/api/v1", MayBill: configured}, configured, configured)
	}
}

func TestContinuousUsageSetting(t *testing.T) {
	yes, no := true, false
	f := func(p Provider, ask, detect bool) {
		t.Helper()
		gotAsk, gotDetect := p.ContinuousUsageSetting()
		require.Equal(t, []bool{ask, detect}, []bool{gotAsk, gotDetect}, p.Endpoint())
	}
	f(Provider{Dialect: DialectOpenAI, BaseURL: "http://vllm:8000"}, false, true)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://models.example"}, false, true)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://api.openai.com"}, false, false)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://openrouter.ai/api/v1"}, false, false)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://eu.api.openai.com"}, false, false)
	f(Provider{Dialect: DialectAzure, BaseURL: "https://models.example"}, false, false)
	f(Provider{Dialect: DialectAnthropic, BaseURL: "https://models.example"}, false, false)
	f(Provider{Dialect: DialectSim}, false, false)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "http://vllm:8000", ContinuousUsage: &no}, false, false)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://api.openai.com", ContinuousUsage: &yes}, true, false)
	f(Provider{Dialect: DialectSim, ContinuousUsage: &yes}, true, false)
}

func TestLooksUpUsage(t *testing.T) {
	yes, no := true, false
	f := func(p Provider, want bool) {
		t.Helper()
		require.Equal(t, want, p.LooksUpUsage(), p.Endpoint())
	}
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://openrouter.ai/api/v1"}, true)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://eu.openrouter.ai/api/v1"}, true)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://openrouter.ai/api/v1", UsageLookup: &no}, false)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://gateway.example", UsageLookup: &yes}, true)
	f(Provider{Dialect: DialectOpenAI, BaseURL: "https://api.openai.com"}, false)
	f(Provider{Dialect: DialectAnthropic, BaseURL: "https://openrouter.ai/api/v1"}, false)
}

func TestOwnMachines(t *testing.T) {
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "192.168.1.2", "172.20.0.1", "fd00::1", "169.254.1.1", "gpu", "ollama.default.svc", "gpu.local", "gpu.corp.internal"} {
		require.True(t, isOwnMachine(name), name)
	}
	for _, name := range []string{"", "api.openai.com", "8.8.8.8", "2001:4860:4860::8888", "gpu.example", "local.example"} {
		require.False(t, isOwnMachine(name), name)
	}
}

// The page for people has every vendor of the table, in the row of its default.
func TestDocumentationHasEveryVendorsBilling(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for line := range strings.Lines(string(page)) {
		for _, billing := range []string{MayBillPartial, MayBillFull, MayBillUnknown} {
			if row, ok := strings.CutPrefix(line, "| `"+billing+"` | "); ok {
				rows[billing] = row
			}
		}
	}
	words := func(row string) []string {
		return strings.FieldsFunc(row, func(r rune) bool { return strings.ContainsRune(" ,;|\n", r) })
	}
	for _, h := range hosts {
		if h.billing == MayBillUnknown {
			continue
		}
		require.Contains(t, words(rows[h.billing]), h.domain)
	}
	for billing, row := range rows {
		for _, word := range words(row) {
			known := slices.IndexFunc(hosts, func(h host) bool { return h.domain == strings.TrimSuffix(word, ".") })
			if known >= 0 {
				require.Equal(t, billing, hosts[known].billing, word)
			}
		}
	}
}
