package config

import (
	"fmt"
	"net/url"
	"strings"
)

// vendor is a provider that follows from the variables its own tools use.
type vendor struct {
	name, dialect string
	// keyVars hold the key; the first one that is set counts.
	keyVars []string
	// baseVar is the variable of the vendor's SDKs for their base URL, and baseURL
	// what counts without it where the dialect has no default.
	baseVar, baseURL string
	// sdkPrefix is what those SDKs append to the base URL even if that has a path;
	// empty where it takes the place of the whole base URL.
	sdkPrefix string
	// oldPrefix is what those SDKs take away from the end of the base URL first.
	oldPrefix string
}

// vendors are in the order in which their providers are listed: the first one that
// has a key gets the requests that nothing sends elsewhere.
var vendors = []vendor{
	{name: "openai", dialect: DialectOpenAI, keyVars: []string{"OPENAI_API_KEY"}, baseVar: "OPENAI_BASE_URL", baseURL: "https://api.openai.com/v1"},
	{name: "anthropic", dialect: DialectAnthropic, keyVars: []string{"ANTHROPIC_API_KEY"}, baseVar: "ANTHROPIC_BASE_URL", sdkPrefix: "/v1"},
	{name: "gemini", dialect: DialectGemini, keyVars: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, baseVar: "GOOGLE_GEMINI_BASE_URL", sdkPrefix: "/v1beta"},
	{name: "cohere", dialect: DialectCohere, keyVars: []string{"COHERE_API_KEY", "CO_API_KEY"}, baseVar: "CO_API_URL", sdkPrefix: "/v2", oldPrefix: "/v1"},
}

// vendorKeys names the preferred variable of every vendor, for people.
func vendorKeys() string {
	names := make([]string, len(vendors))
	for i, v := range vendors {
		names[i] = v.keyVars[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// loader holds what is known of where the values of a configuration come from.
type loader struct {
	getenv Getenv
	// positions and referenced are those of the decoder, nil without a file.
	positions  map[string]position
	referenced map[string]bool
	// variables maps the path of a value to the environment variable that it was
	// taken from for want of one in the file.
	variables map[string]string
}

// FromEnvironment returns the configuration of a start without a file: the
// defaults, with a provider for every vendor whose key is set, or with the
// built-in simulator when there is none. Origin tells which. The error is a
// *Problems, for a vendor's base URL that cannot be used.
func FromEnvironment(getenv Getenv) (*Config, error) {
	c := Default()
	c.Origin = OriginEnvironment
	from := &loader{getenv: getenv, variables: map[string]string{}}
	c.Providers = from.vendorProviders()
	if len(c.Providers) == 0 {
		c.Origin = OriginSimulator
		c.Providers = []Provider{simulatorProvider()}
	}
	problems := &Problems{Name: "environment"}
	check(c, problems, from)
	if err := problems.err(); err != nil {
		return nil, err
	}
	c.resolve(getenv)
	return c, nil
}

// vendorProviders lists a provider for every vendor whose key is in the environment.
func (d *loader) vendorProviders() []Provider {
	var list []Provider
	for _, v := range vendors {
		path := fmt.Sprintf("providers[%d]", len(list))
		key := d.either("", path+".api_key", v.keyVars)
		if key == "" {
			continue
		}
		p := Provider{Name: v.name, Dialect: v.dialect, BaseURL: v.baseURL, APIKey: Secret(key)}
		p.setDefaults()
		if base := d.either("", path+".base_url", []string{v.baseVar}); base != "" {
			p.BaseURL = v.withPrefix(base)
		}
		list = append(list, p)
	}
	return list
}

// withPrefix turns what the vendor's SDKs understand by their base URL into ours.
func (v vendor) withPrefix(base string) string {
	trimmed := strings.TrimSuffix(strings.TrimRight(base, "/"), v.oldPrefix)
	u, err := url.Parse(trimmed)
	switch {
	case v.sdkPrefix == "" || err != nil || strings.ContainsAny(base, "?#"):
		return base
	case u.Path == "" || strings.HasSuffix(u.Path, v.sdkPrefix):
		return trimmed
	}
	return trimmed + v.sdkPrefix
}

// simulatorProvider is the built-in simulator under its usual name.
func simulatorProvider() Provider {
	p := Provider{Name: "sim", Dialect: DialectSim}
	p.setDefaults()
	return p
}
