package prices

import (
	"net/netip"
	"strings"
)

// The vendors, as far as something else than their name depends on them. Others are named
// as they are called: deepseek, mistral, groq, openrouter.
const (
	vendorOpenAI    = "openai"
	vendorAzure     = "azure"
	vendorAnthropic = "anthropic"
	vendorGoogle    = "google"
	vendorVertex    = "vertex"
	vendorBedrock   = "bedrock"
	vendorDeepSeek  = "deepseek"
	vendorSimulator = "sim"

	// regional follows the name of a vendor that charges more where the region of the
	// servers is chosen.
	regional = "-regional"
)

// hosts are the vendors of the servers of a domain.
var hosts = []struct{ domain, vendor string }{
	{"api.openai.com", vendorOpenAI},
	{"openai.azure.com", vendorAzure},
	{"services.ai.azure.com", vendorAzure},
	{"cognitiveservices.azure.com", vendorAzure},
	{"api.anthropic.com", vendorAnthropic},
	{"generativelanguage.googleapis.com", vendorGoogle},
	{"ai-gateway.vercel.sh", "vercel"},
	{"api.baseten.co", "baseten"},
	{"api.cerebras.ai", "cerebras"},
	{"api.cohere.ai", "cohere"},
	{"api.cohere.com", "cohere"},
	{"api.deepinfra.com", "deepinfra"},
	{"api.deepseek.com", vendorDeepSeek},
	{"api.fireworks.ai", "fireworks"},
	{"api.groq.com", "groq"},
	{"api.mistral.ai", "mistral"},
	{"api.moonshot.ai", "moonshot"},
	{"api.novita.ai", "novita"},
	{"api.perplexity.ai", "perplexity"},
	{"api.sambanova.ai", "sambanova"},
	{"api.together.ai", "together"},
	{"api.together.xyz", "together"},
	{"api.x.ai", "xai"},
	{"api.z.ai", "zai"},
	{"aliyuncs.com", "alibaba"},
	{"azuredatabricks.net", "databricks"},
	{"codestral.mistral.ai", "mistral"},
	{"databricks.com", "databricks"},
	{"integrate.api.nvidia.com", "nvidia"},
	{"openrouter.ai", "openrouter"},
	{"router.huggingface.co", "huggingface"},
}

// VendorOf tells who sells the tokens of a configured provider, by its dialect, its
// platform and the host of its URL; a port does not count. It is empty for servers that
// are not known by their host: those of one's own, as vLLM and Ollama, and gateways that
// charge what they like.
func VendorOf(dialect, platform, host string) string {
	host = hostName(host)
	switch {
	case dialect == "sim":
		return vendorSimulator
	case dialect == "bedrock" || platform == "bedrock":
		return vendorBedrock
	case host == vertexHost:
		return vendorVertex
	case strings.Contains(host, "aiplatform.") && isBelow(host, "googleapis.com"):
		return vendorVertex + regional // the servers of a region, or of a group of them
	case platform == "vertex":
		return vendorVertex
	case dialect == "azure":
		return vendorAzure
	}
	for _, h := range hosts {
		if !isBelow(host, h.domain) {
			continue
		}
		if h.vendor == vendorOpenAI && host != h.domain {
			return vendorOpenAI + regional // as eu.api.openai.com
		}
		return h.vendor
	}
	if strings.HasPrefix(host, "bedrock-") && isBelow(host, "amazonaws.com") {
		return vendorBedrock
	}
	return ownHost[[2]string{dialect, host}]
}

// vertexHost serves Vertex AI from anywhere.
const vertexHost = "aiplatform.googleapis.com"

// ownHost are the vendors of dialects when no host is configured.
var ownHost = map[[2]string]string{
	{"anthropic", ""}: vendorAnthropic,
	{"gemini", ""}:    vendorGoogle,
	{"cohere", ""}:    "cohere",
}

// hostName is a host in lower case without its port.
func hostName(host string) string {
	if at, err := netip.ParseAddrPort(host); err == nil {
		return at.Addr().String()
	}
	if name, port, ok := strings.Cut(host, ":"); ok && allDigits(port) {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// isBelow reports whether a host name is a domain or in it.
func isBelow(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// sellers are the vendors whose prices hold for what a vendor sells, the best first: the
// clouds sell the models of others at their prices. model is in lower case.
func sellers(vendor, model string) []string {
	switch vendor {
	case vendorAzure:
		return []string{vendorAzure, vendorOpenAI}
	case vendorOpenAI + regional:
		return []string{vendor, vendorOpenAI}
	case vendorAnthropic + regional:
		return []string{vendor, vendorAnthropic}
	case vendorVertex:
		return []string{vendorVertex, vendorGoogle, vendorAnthropic}
	case vendorVertex + regional:
		return []string{
			vendor, vendorVertex, vendorGoogle + regional, vendorGoogle,
			vendorAnthropic + regional, vendorAnthropic,
		}
	case vendorBedrock:
		return append([]string{vendorBedrock}, bedrockSellers(model)...)
	case "":
		return nil
	}
	return []string{vendor}
}

// bedrockSellers are the vendors whose prices hold for their models on Bedrock, where an
// id may begin with the regions that serve it: global.anthropic.claude-opus-5-5.
func bedrockSellers(model string) []string {
	region, _, _ := strings.Cut(model[strings.LastIndexByte(model, '/')+1:], ".")
	switch region {
	case "us-gov":
		return nil // dearer, by how much Anthropic does not say
	case "global", vendorAnthropic:
		return []string{vendorAnthropic}
	}
	return []string{vendorAnthropic + regional, vendorAnthropic}
}
