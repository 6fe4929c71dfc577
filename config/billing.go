package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// host is what is known of the servers of a domain.
type host struct {
	domain string
	// billing is one of the MayBill constants: what a stream costs that was cut.
	billing string
}

// hosts are the vendors that are known by the address of their servers, which run
// software of their own.
//
// Hardly any vendor says what it charges for a stream that its client has left. The
// values come from those who were billed, and age:
//   - OpenRouter lists the vendors whose work and bill end with the connection, and those
//     that go on to the end: https://openrouter.ai/docs/api-reference/streaming
//   - For Amazon Bedrock, what AWS put on a bill was compared with what was received:
//     https://github.com/BerriAI/litellm/issues/34147 and pull request 36008
//   - Microsoft says that what was processed may be charged whatever became of the
//     answer: "manage costs" in the documentation of Azure OpenAI
//   - Vercel's gateway reads on to the end: https://github.com/vercel/ai/issues/8325
//   - Novita says that a client that left pays for the tokens used, not for which:
//     https://novita.ai/docs/guides/llm-billing
var hosts = []host{
	// On OpenRouter's list of those that stop.
	{"api.openai.com", MayBillPartial},
	{"openai.azure.com", MayBillPartial},
	{"services.ai.azure.com", MayBillPartial},
	{"cognitiveservices.azure.com", MayBillPartial},
	{"api.anthropic.com", MayBillPartial},
	{"api.cohere.com", MayBillPartial},
	{"api.cohere.ai", MayBillPartial},
	{"api.deepinfra.com", MayBillPartial},
	{"api.deepseek.com", MayBillPartial},
	{"api.fireworks.ai", MayBillPartial},
	{"api.friendli.ai", MayBillPartial},
	{"api.hyperbolic.xyz", MayBillPartial},
	{"api.together.ai", MayBillPartial},
	{"api.together.xyz", MayBillPartial},
	{"api.x.ai", MayBillPartial},
	{"llm.chutes.ai", MayBillPartial},

	// On its list of those that go on to the end.
	{"amazonaws.com", MayBillFull},
	{"googleapis.com", MayBillFull},
	{"aliyuncs.com", MayBillFull},
	{"api.ai21.com", MayBillFull},
	{"api.featherless.ai", MayBillFull},
	{"api.groq.com", MayBillFull},
	{"api.inference.net", MayBillFull},
	{"api.minimax.io", MayBillFull},
	{"api.mistral.ai", MayBillFull},
	{"api.perplexity.ai", MayBillFull},
	{"api.sambanova.ai", MayBillFull},
	{"api.studio.nebius.com", MayBillFull},
	{"api.tokenfactory.nebius.com", MayBillFull},
	{"router.huggingface.co", MayBillFull},
	// Measured by its users.
	{"ai-gateway.vercel.sh", MayBillFull},

	// Known as vendors, but not for this.
	{"api.baseten.co", MayBillUnknown},
	{"api.cerebras.ai", MayBillUnknown},
	{"api.cloudflare.com", MayBillUnknown},
	{"api.moonshot.ai", MayBillUnknown},
	{"api.novita.ai", MayBillUnknown},
	{"api.siliconflow.com", MayBillUnknown},
	{"api.z.ai", MayBillUnknown},
	{"azuredatabricks.net", MayBillUnknown},
	{"databricks.com", MayBillUnknown},
	{"gateway.ai.cloudflare.com", MayBillUnknown}, // depends on the vendor behind it
	{"integrate.api.nvidia.com", MayBillUnknown},
	{"models.github.ai", MayBillUnknown},
	{"ollama.com", MayBillUnknown},
	{openRouterHost, MayBillUnknown}, // depends on the vendor behind it
}

const openRouterHost = "openrouter.ai"

// Billing tells what the provider charges for a stream that was cut, as one of the
// MayBill constants: what is configured, else what is known of its dialect and host.
// Nobody bills for the simulator and for models on a machine of one's own.
func (p Provider) Billing() string {
	switch {
	case p.MayBill != "":
		return p.MayBill
	case p.Dialect == DialectSim:
		return MayBillNone
	case p.OnBedrock(), p.Platform == PlatformVertex:
		return MayBillFull // also behind a gateway of one's own
	}
	name := p.hostName()
	if p.Dialect == DialectOllama && isOwnMachine(name) {
		return MayBillNone
	}
	if known, ok := knownHost(name); ok {
		return known.billing
	}
	return MayBillUnknown
}

// BillingWhole is Billing for an answer in one piece that was cut. OpenRouter says of
// itself and of all vendors that they make and charge such an answer to its end.
func (p Provider) BillingWhole() string {
	billing := p.Billing()
	if p.MayBill == "" && (billing == MayBillPartial || isBelow(p.hostName(), openRouterHost)) {
		return MayBillFull
	}
	return billing
}

// ContinuousUsageSetting tells whether to ask for running usage in every chunk: ask is
// what is configured; detect means that nothing is, and that the server is to be asked
// once it has said that it is one that knows how, which no known vendor's server is.
func (p Provider) ContinuousUsageSetting() (ask, detect bool) {
	if p.ContinuousUsage != nil {
		return *p.ContinuousUsage, false
	}
	if p.Dialect != DialectOpenAI {
		return false, false
	}
	_, vendor := knownHost(p.hostName())
	return false, !vendor
}

// LooksUpUsage reports whether the provider is asked after a cut what the request has
// used.
func (p Provider) LooksUpUsage() bool {
	if p.UsageLookup != nil {
		return *p.UsageLookup
	}
	return p.Dialect == DialectOpenAI && isBelow(p.hostName(), openRouterHost)
}

// hostName is the host of the provider's URL in lower case, without its port.
func (p Provider) hostName() string {
	u, err := url.Parse(p.Endpoint())
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// knownHost finds the vendor that a host belongs to.
func knownHost(name string) (host, bool) {
	for _, h := range hosts {
		if isBelow(name, h.domain) {
			return h, true
		}
	}
	return host{}, false
}

// isBelow reports whether a host name is a domain or in it.
func isBelow(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// isOwnMachine reports whether a host is this machine or one of a private network, going
// by its name alone: no vendor is called by a name without a dot.
func isOwnMachine(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return isPrivate(name)
	}
	for _, suffix := range []string{".local", ".localhost", ".internal", ".lan", ".home.arpa", ".svc"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return name != "" && !strings.Contains(name, ".")
}
