package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func providerNamed(t *testing.T, c *config.Config, name string) config.Provider {
	t.Helper()
	for _, p := range c.Providers {
		if p.Name == name {
			return p
		}
	}
	require.Fail(t, "no provider", name)
	return config.Provider{}
}

func TestEveryDialectHasItsAddressAndCredential(t *testing.T) {
	c, err := config.Load("testdata/clouds.good.yaml", noEnvironment)
	require.NoError(t, err)
	f := func(name, endpoint string, credential config.Credential, keyHeader string) {
		t.Helper()
		p := providerNamed(t, c, name)
		require.Equal(t, endpoint, p.Endpoint())
		require.Equal(t, credential, p.Credential())
		require.Equal(t, keyHeader, p.KeyHeader())
	}
	f("openai", "https://openai.example/v1", config.CredentialClient, "Authorization")
	f("azure", "https://name.openai.azure.com/openai/v1", config.CredentialKey, "Api-Key")
	f("azure-deployments", "https://name.openai.azure.com/openai", config.CredentialClient, "Api-Key")
	f("anthropic", "https://api.anthropic.com/v1", config.CredentialClient, "X-Api-Key")
	f("anthropic-vertex", "https://aiplatform.googleapis.com/v1", config.CredentialGoogle, "X-Goog-Api-Key")
	f("anthropic-bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com", config.CredentialAWS, "Authorization")
	f("gemini", "https://generativelanguage.googleapis.com/v1beta", config.CredentialKey, "X-Goog-Api-Key")
	f("gemini-vertex", "https://europe-west4-aiplatform.googleapis.com/v1", config.CredentialGoogle, "X-Goog-Api-Key")
	f("gemini-token", "https://aiplatform.us.rep.googleapis.com/v1", config.CredentialHeaders, "X-Goog-Api-Key")
	f("cohere", "https://api.cohere.com/v2", config.CredentialClient, "Authorization")
	f("ollama", "http://127.0.0.1:11434/api", config.CredentialClient, "Authorization")
	f("bedrock", "https://bedrock-runtime.us-gov-west-1.amazonaws.com", config.CredentialAWS, "Authorization")
	f("bedrock-key", "https://gateway.example/bedrock", config.CredentialKey, "Authorization")

	require.Equal(t, config.CredentialNone, config.Provider{Dialect: config.DialectSim}.Credential())
	require.True(t, providerNamed(t, c, "bedrock").OnBedrock())
	require.True(t, providerNamed(t, c, "anthropic-bedrock").OnBedrock())
	require.False(t, providerNamed(t, c, "anthropic").OnBedrock())
	require.True(t, providerNamed(t, c, "openai").HasQuirk(config.QuirkThinkTags))
	require.False(t, providerNamed(t, c, "openai").HasQuirk(config.QuirkMaxCompletionTokens))
}

func TestHostWithoutAPathGetsTheUsualOne(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		c, err := config.Parse(fmt.Appendf(nil, "providers: [{name: p, %s}]", members), "", noEnvironment)
		require.NoError(t, err)
		require.Equal(t, want, c.Providers[0].Endpoint())
	}
	f(`dialect: anthropic, base_url: "https://h/"`, "https://h/v1")
	f(`dialect: anthropic, base_url: "https://h/claude"`, "https://h/claude")
	f(`dialect: anthropic, base_url: "https://h", platform: vertex, project: p, region: global`, "https://h/v1")
	f(`dialect: anthropic, base_url: "https://h", platform: bedrock, region: us-east-1`, "https://h")
	f(`dialect: gemini, base_url: "https://h"`, "https://h/v1beta")
	f(`dialect: gemini, base_url: "https://h/v1alpha/"`, "https://h/v1alpha")
	f(`dialect: cohere, base_url: "https://h"`, "https://h/v2")
	f(`dialect: ollama, base_url: "http://h:11434"`, "http://h:11434/api")
	f(`dialect: bedrock, region: us-east-1, base_url: "https://h/"`, "https://h")
	f(`dialect: azure, base_url: "https://h/openai/v1/"`, "https://h/openai/v1")
	f(`dialect: azure, base_url: "https://h/gateway", api_version: "2024-10-21"`, "https://h/gateway")

	require.Empty(t, config.Provider{Dialect: config.DialectBedrock}.Endpoint())
	require.Empty(t, config.Provider{Dialect: config.DialectGemini, Platform: config.PlatformVertex}.Endpoint())
	require.Empty(t, config.Provider{Dialect: config.DialectAzure}.Endpoint())
}

func TestClouds(t *testing.T) {
	f := func(members string, env map[string]string) config.Provider {
		t.Helper()
		c, err := config.Parse(fmt.Appendf(nil, "providers: [{name: p, %s}]", members), "", environment(env))
		require.NoError(t, err)
		return c.Providers[0]
	}
	google := map[string]string{"GOOGLE_CLOUD_PROJECT": "from-env", "GOOGLE_CLOUD_LOCATION": "europe-west1", "GOOGLE_CLOUD_REGION": "us-west1"}
	p := f("dialect: gemini, platform: vertex", google)
	require.Equal(t, []string{"from-env", "europe-west1"}, []string{p.Project, p.Region})
	p = f("dialect: gemini, platform: vertex, project: own, region: global", google)
	require.Equal(t, []string{"own", "global"}, []string{p.Project, p.Region})
	p = f("dialect: anthropic, platform: vertex", map[string]string{"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "", "GOOGLE_CLOUD_REGION": "us-west1"})
	require.Equal(t, "us-west1", p.Region)
	p = f(`dialect: gemini, platform: vertex, project: p, region: "${WHERE:-}"`, google)
	require.Equal(t, "europe-west1", p.Region, "a reference that gives nothing leaves it to the environment")

	amazon := map[string]string{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
	require.Equal(t, "eu-west-1", f("dialect: bedrock", amazon).Region)
	require.Equal(t, "us-east-1", f("dialect: anthropic, platform: bedrock", map[string]string{"AWS_DEFAULT_REGION": "us-east-1"}).Region)
	require.Empty(t, f("dialect: anthropic", amazon).Region)
	require.Empty(t, f("dialect: gemini", google).Project)
}

func TestBedrockKeyOfTheEnvironment(t *testing.T) {
	f := func(members string, want config.Secret, credential config.Credential) {
		t.Helper()
		c, err := config.Parse(fmt.Appendf(nil, "providers: [{name: p, region: us-east-1, %s}]", members), "",
			environment(map[string]string{"AWS_BEARER_TOKEN_BEDROCK": "from-env"}))
		require.NoError(t, err)
		require.Equal(t, string(want), string(c.Providers[0].APIKey))
		require.Equal(t, credential, c.Providers[0].Credential())
	}
	f("dialect: bedrock", "from-env", config.CredentialKey)
	f("dialect: anthropic, platform: bedrock", "from-env", config.CredentialKey)
	f("dialect: bedrock, api_key: own", "own", config.CredentialKey)
	f("dialect: bedrock, headers: {authorization: Bearer own}", "", config.CredentialHeaders)

	_, err := config.Parse([]byte("providers: [{name: p, dialect: bedrock, region: us-east-1}]"), "c.yaml",
		environment(map[string]string{"AWS_BEARER_TOKEN_BEDROCK": "a\nb"}))
	require.EqualError(t, err, "c.yaml:1:13: AWS_BEARER_TOKEN_BEDROCK: holds a line break or another control character, which no header can carry")
}

// The environment is not to be trusted more than the file.
func TestCloudValuesOfTheEnvironmentAreChecked(t *testing.T) {
	_, err := config.Parse([]byte("providers:\n  - {name: p, dialect: bedrock}\n"), "c.yaml",
		environment(map[string]string{"AWS_REGION": "evil.example/x?"}))
	require.EqualError(t, err, `c.yaml:2:5: AWS_REGION: "evil.example/x?" must be made of at most 48 small letters, digits and dashes: it becomes part of a URL`)
}

func TestNothingButSafeCharactersGoesIntoURLs(t *testing.T) {
	refused := func(members string) {
		t.Helper()
		_, err := config.Parse(fmt.Appendf(nil, "providers: [{name: p, %s}]", members), "", noEnvironment)
		require.ErrorContains(t, err, "becomes part of a URL", members)
	}
	for _, value := range []string{"a/b", "a?b", "a#b", "a b", "a%2fb", "a\\\\b", "..", ".", "-a", "a@b", "a\\nb", "é"} {
		refused(fmt.Sprintf(`dialect: bedrock, region: "%s"`, value))
		refused(fmt.Sprintf(`dialect: gemini, platform: vertex, region: global, project: "%s"`, value))
		refused(fmt.Sprintf(`dialect: azure, base_url: "https://h", api_version: "%s"`, value))
	}
	refused(`dialect: bedrock, region: US-EAST-1`)
	refused(`dialect: bedrock, region: us-east-1.evil.example`)
	refused(`dialect: bedrock, region: us-east-1-`)
	refused(`dialect: bedrock, region: ` + strings.Repeat("a", 49))
	refused(`dialect: azure, base_url: "https://h", api_version: "v1&a=b"`)
}

func TestUsageIsOnlyAskedForWhereThatMeansSomething(t *testing.T) {
	c, err := config.Load("testdata/clouds.good.yaml", noEnvironment)
	require.NoError(t, err)
	for _, p := range c.Providers {
		switch p.Dialect {
		case config.DialectOpenAI, config.DialectAzure:
			require.NotNil(t, p.IncludeUsage, p.Name)
			require.Equal(t, p.Name != "azure-deployments", p.AsksUsage(), p.Name)
		default:
			require.Nil(t, p.IncludeUsage, p.Name)
		}
	}
	again, err := config.Parse(c.Redacted(), "", noEnvironment)
	require.NoError(t, err, string(c.Redacted()))
	require.Equal(t, string(c.Redacted()), string(again.Redacted()))
}

func TestVendorsOfTheEnvironment(t *testing.T) {
	f := func(env map[string]string, want ...string) {
		t.Helper()
		c, err := config.FromEnvironment(environment(env))
		require.NoError(t, err)
		var got []string
		for _, p := range c.Providers {
			got = append(got, fmt.Sprintf("%s %s %s %s", p.Name, p.Dialect, p.Endpoint(), string(p.APIKey)))
		}
		require.Equal(t, want, got)
		require.Equal(t, config.OriginEnvironment, c.Origin)
	}
	const (
		openai    = "openai openai https://api.openai.com/v1 o"
		anthropic = "anthropic anthropic https://api.anthropic.com/v1 a"
		gemini    = "gemini gemini https://generativelanguage.googleapis.com/v1beta g"
		cohere    = "cohere cohere https://api.cohere.com/v2 c"
	)
	f(map[string]string{"ANTHROPIC_API_KEY": "a"}, anthropic)
	f(map[string]string{"GOOGLE_API_KEY": "g"}, gemini)
	f(map[string]string{"GEMINI_API_KEY": "g", "GOOGLE_API_KEY": "other"}, gemini)
	f(map[string]string{"CO_API_KEY": "c"}, cohere)
	f(map[string]string{"COHERE_API_KEY": "c", "CO_API_KEY": "other"}, cohere)
	f(map[string]string{"COHERE_API_KEY": "c", "GEMINI_API_KEY": "g", "ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}, openai, anthropic, gemini, cohere)
	f(map[string]string{"COHERE_API_KEY": "c", "OPENAI_API_KEY": ""}, cohere)

	base := func(keyVar, baseVar, value, want string) {
		t.Helper()
		c, err := config.FromEnvironment(environment(map[string]string{keyVar: "k", baseVar: value}))
		require.NoError(t, err)
		require.Equal(t, want, c.Providers[0].Endpoint())
	}
	base("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://h/api", "https://h/api")
	base("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://h", "https://h/v1")
	base("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://h/claude/", "https://h/claude/v1")
	base("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://h/claude/v1", "https://h/claude/v1")
	base("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "https://h/google", "https://h/google/v1beta")
	base("CO_API_KEY", "CO_API_URL", "https://h/v1", "https://h/v2")
	base("CO_API_KEY", "CO_API_URL", "https://h/cohere", "https://h/cohere/v2")

	_, err := config.FromEnvironment(environment(map[string]string{"OPENAI_API_KEY": "o", "GOOGLE_API_KEY": "g\n", "GOOGLE_GEMINI_BASE_URL": "h"}))
	require.EqualError(t, err, "environment: GOOGLE_GEMINI_BASE_URL: must begin with https:// or http://\n"+
		"environment: GOOGLE_API_KEY: holds a line break or another control character, which no header can carry")
}
