package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

// testEnvironment is what the files in testdata refer to.
var testEnvironment = environment(map[string]string{
	"OPENAI_API_KEY": "sk-test-0123456789",
	"NUMBER":         "12",
	"EMPTY":          "",
})

// noVendors is testEnvironment without a vendor to fall back to.
func noVendors(name string) (string, bool) {
	if name == "OPENAI_API_KEY" {
		return "", false
	}
	return testEnvironment(name)
}

func TestGoodFilesAreAccepted(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	schema := compileSchema(t)
	for _, file := range files {
		c, err := config.Load(file, testEnvironment)
		require.NoError(t, err, file)
		require.NotEmpty(t, c.Providers, file)
		if filepath.Base(file) == "empty_sections.good.yaml" {
			continue // the schema does not spell out that any section may be empty
		}
		src, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, validate(t, schema, src), file)
	}
}

func TestFullFile(t *testing.T) {
	c, err := config.Load("testdata/full.good.yaml", testEnvironment)
	require.NoError(t, err)
	no, yes := false, true
	second := config.Duration(time.Second)
	open := config.Quota{Fail: config.FailOpen}
	require.Equal(t, &config.Config{
		Listen: "127.0.0.1:8081", HalfClose: config.HalfCloseFinish, ResponseModel: config.ResponseModelUpstream,
		KeepAlive: 5 * second, Admin: config.Admin{Listen: "off", Auth: config.AdminAuthAlways, CORS: []string{"*"}}, Records: 50,
		Providers: []config.Provider{
			{
				Name: "openai", Dialect: config.DialectOpenAI, BaseURL: "https://api.openai.com", APIKey: "sk-test-0123456789",
				Headers:      map[string]config.Secret{"OpenAI-Organization": "org-1", "X-Team": "core"},
				IncludeUsage: &no, MayBill: config.MayBillFull, UsageLookup: &yes, DenyPrivate: true,
				Limits: config.Quota{RequestsPerMinute: 500, TokensPerMinute: 2_000_000, Fail: config.FailOpen},
			},
			{
				Name: "local", Dialect: config.DialectOpenAI, BaseURL: "http://127.0.0.1:8000/api/v3/",
				IncludeUsage: &yes, ContinuousUsage: &yes, IdleConn: 4 * second, Limits: open,
			},
			{Name: "sim", Dialect: config.DialectSim, IncludeUsage: &yes, IdleConn: 4 * second, Limits: open},
		},
		Models: []config.Model{
			{
				Name: "fast", Aliases: []string{"quick", "fast-*"}, Balance: config.BalanceLatency, Sticky: "X-Session-Id",
				Targets: []config.Target{
					{Provider: "openai", Model: "gpt-4o-mini", Weight: 3, Priority: 1, MaxConcurrent: 64},
					{Provider: "local", Model: "fast", Weight: 1, Priority: 2},
				},
				Fallback: "large", FallbackOn: []string{config.FallbackOnContextLength},
				FirstToken: 20 * second, HedgeAfter: config.Duration(800 * time.Millisecond), RetryMaybeRan: true,
				Limits: config.Quota{Streams: 100, Fail: config.FailClosed}, Capture: true,
			},
			{
				Name: "large", Targets: []config.Target{{Provider: "openai", Model: "gpt-4o", Weight: 1, Priority: 1}},
				Balance: config.BalanceWeight, FirstTokenFailover: true, Limits: open,
			},
		},
		Keys: []config.Key{{
			Alias: "alice", SHA256: "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90", Admin: true,
			Models: []string{"fast", "openai/*"}, Metadata: map[string]string{"team": "core", "cost_centre": "4711"},
			Limits: config.Quota{
				RequestsPerMinute: 60, TokensPerMinute: 200_000, Streams: 10, MaxOutputTokens: 4096, MaxDuration: 24 * 3600 * second,
				Budgets: []config.Budget{
					{USD: config.USD / 2, Per: "day", Hard: true},
					{Tokens: 1_000_000, Per: "month", Fail: config.FailClosed},
				},
				Fail: config.FailOpen,
			},
			Capture: true, OnLedgerFailure: config.OnLedgerFailureAllow,
		}},
		Timeouts: config.Timeouts{
			Connect: second, FirstToken: 120 * second, Idle: 90 * second, Total: 3600 * second, ClientStall: 10 * second,
			Drain: 0, RequestHeaders: second, RequestBody: 2 * second, KeepAlive: 3 * second,
		},
		Limits: config.Limits{
			MaxBody: config.MiB, MaxHeader: 8 * config.KiB, MaxAnswer: 2_000_000,
			Bodies: 64 * config.MiB, Connections: 5000, ConnectionsPerIP: 100,
		},
		Retry:   config.Retry{Attempts: 5, SameTarget: 1, Within: 60 * second, Budget: 100},
		Breaker: config.Breaker{Failures: 3, Open: 5 * second},
		Queue:   config.Queue{Wait: second},
		Log:     config.Log{Level: "debug", Format: "json"},
		Origin:  config.OriginFile, Extensions: true, ThoughtMemory: 16 * config.MiB,
		Ledger:          "postgres://sluice:secret-password@db.example/sluice?sslmode=verify-full",
		OnLedgerFailure: config.OnLedgerFailureRefuse, Spool: config.GiB, SpoolDir: "/var/spool/sluice", Keep: 36 * 3600 * second,
		Capture: config.Capture{Keep: 48 * 3600 * second, MaxBytes: config.MiB},
		Prices: config.Prices{File: "testdata/models.json", Overrides: []config.Price{
			{Model: "my-*", Input: 150_000_000, Output: 600_000_000},
			{
				Provider: "openai", Model: "gpt-4o-mini", ServiceTier: "batch", AboveInput: 200_000, Input: 1_000_000, Output: 0,
				InputCached: usd(0), InputCacheWrite: usd(1.25), InputAudio: usd(10), OutputReasoning: usd(5), OutputAudio: usd(20),
			},
		}},
		Redis:       "rediss://default:secret-password@cache.example:6380/3",
		StateFolder: c.StateFolder,
	}, c)
	require.False(t, c.Admin.Enabled())
	require.False(t, c.Providers[0].AsksUsage())
	require.True(t, c.Providers[1].AsksUsage())
}

// usd is an amount that a price may leave out.
func usd(amount float64) *config.Rate {
	r := config.Rate(amount * float64(config.USD))
	return &r
}

func TestAliasesAndMergedKeys(t *testing.T) {
	c, err := config.Load("testdata/aliases.good.yaml", testEnvironment)
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two", "three"}, providerNames(c))
	require.Equal(t, 7*time.Second, c.Timeouts.Connect.Std())
	require.Equal(t, 7*time.Second, c.Providers[1].IdleConn.Std())
	require.Equal(t, time.Second, c.Providers[2].IdleConn.Std())
	require.Equal(t, "https://one.example/v1", c.Providers[2].Endpoint())
}

// badFiles holds the only problem of every testdata/*.bad.yaml.
var badFiles = map[string]string{
	"admin_auth":                   `2:15: admin.auth: "allways" is not one of auto, always, never; did you mean always?`,
	"admin_key":                    `3:17: admin.listen: ":9090" can be reached by other machines, so admin.auth wants a key with admin: true, and there is none; listen on 127.0.0.1 to need no key`,
	"admin_key_always":             `3:15: admin.auth: always needs a key with admin: true, and there is none`,
	"api_key_empty":                `1:72: providers[0].api_key: is empty; leave it out to pass the client's own credential through`,
	"api_key_empty_on_bedrock":     `1:69: providers[0].api_key: is empty; leave it out to use the credentials of the machine`,
	"api_key_line_break":           `1:72: providers[0].api_key: holds a line break or another control character, which no header can carry`,
	"api_version_form":             `1:75: providers[0].api_version: "1&x=2" must be made of at most 64 letters, digits, dashes and dots: it becomes part of a URL`,
	"api_version_without_azure":    `1:76: providers[0].api_version: is only for the dialect azure`,
	"balance":                      `3:52: models[0].balance: "latencies" is not one of weight, latency; did you mean latency?`,
	"bodies_small":                 `2:18: limits.bodies: "32MiB" is less than twice max_body (32MiB), so the largest body would never be let in`,
	"boolean":                      `1:78: providers[0].include_usage: "on" must be true or false`,
	"breaker_open":                 `2:17: breaker.open: must be more than 0`,
	"budget_both":                  `1:58: providers[0].limits.budgets[0]: holds both usd and tokens; make it two budgets`,
	"budget_empty":                 `2:67: models[0].limits.budgets[0]: needs usd or tokens`,
	"budget_no_tokens":             `1:67: providers[0].limits.budgets[0].tokens: must be more than 0`,
	"budget_nothing":               `1:64: providers[0].limits.budgets[0].usd: must be more than 0`,
	"budget_period":                `1:72: providers[0].limits.budgets[0].per: "week" is not one of day, month, total`,
	"budget_without_period":        `1:58: providers[0].limits.budgets[0].per: is required`,
	"ca_file_content":              `1:72: providers[0].ca_file: the file "testdata/full.good.yaml" holds no certificate in PEM form`,
	"ca_file_missing":              `1:72: providers[0].ca_file: the file "testdata/absent.pem" cannot be read: no such file or directory`,
	"capture_keep":                 `2:17: capture.keep: must be more than 0; to keep nothing, leave capture out of keys and models`,
	"continuous_usage_of_ollama":   `1:58: providers[0].continuous_usage: has no meaning for the dialect ollama, which reports usage unasked`,
	"cors_any":                     `2:35: admin.cors[1]: * is any origin and must stand alone`,
	"cors_case":                    `2:16: admin.cors[0]: "HTTPS://Dash.example" must be written as browsers do: in small letters, without the usual port`,
	"cors_null":                    `2:16: admin.cors[0]: "null" is not an origin; write it as https://dash.example.com or http://localhost:3000, without a path`,
	"cors_path":                    `2:16: admin.cors[0]: "https://dash.example/" is not an origin; write it as https://dash.example.com or http://localhost:3000, without a path`,
	"cors_port":                    `2:16: admin.cors[0]: "https://dash.example:443" must be written as browsers do: in small letters, without the usual port`,
	"cors_twice":                   `2:35: admin.cors[1]: is listed twice`,
	"deny_private_loopback":        `1:54: providers[0].deny_private: refuses the provider's own address, which is not public`,
	"deny_private_of_simulator":    `1:53: providers[0].deny_private: the simulator is built in and takes no deny_private`,
	"deny_private_private":         `1:81: providers[0].deny_private: refuses the provider's own address, which is not public`,
	"dialect":                      `1:32: providers[0].dialect: "open-ai" is not one of openai, azure, anthropic, gemini, cohere, ollama, bedrock, sim; did you mean openai?`,
	"duplicate_key":                `3:1: listen: is set twice; first on line 2`,
	"duration_in_weeks":            `2:19: timeouts.total: "1w" is not a duration; write it as 30s, 500ms, 1m30s or 90d`,
	"duration_negative":            `2:19: timeouts.drain: "-1s" must not be negative`,
	"duration_without_unit":        `2:18: timeouts.idle: "30" needs a unit, as in 30s, 500ms, 1m30s or 90d`,
	"empty_item":                   `3:4: providers[1]: is empty`,
	"empty_providers":              `1:12: providers: at least one is needed: list one, set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or COHERE_API_KEY, or add {name: sim, dialect: sim} to try sluice without a vendor`,
	"enum":                         `2:13: half_close: "finsh" is not one of gone, finish; did you mean finish?`,
	"extensions":                   `2:13: extensions: "none" must be true or false`,
	"fallback_circle":              `4:53: models[1].fallback: leads in a circle: b, c, b`,
	"fallback_is_an_alias":         `3:53: models[0].fallback: no model is named "other-b"; did you mean b?`,
	"fallback_is_itself":           `3:53: models[0].fallback: must be another model`,
	"fallback_is_many":             `3:53: models[0].fallback: "b-*" stands for many models; name one without a *`,
	"fallback_of_nobody":           `3:56: models[0].fallback: no model is named "larg"; did you mean large?`,
	"fallback_on_empty":            `3:69: models[0].fallback_on: must name at least one; leave it out for both`,
	"fallback_on_twice":            `3:79: models[0].fallback_on[1]: is listed twice`,
	"fallback_on_unknown":          `3:70: models[0].fallback_on[0]: "context" is not one of context_length, content; did you mean content?`,
	"fallback_on_without_fallback": `3:56: models[0].fallback_on: has no meaning without fallback`,
	"header_and_api_key":           `1:100: providers[0].headers.authorization: is set from api_key; give only one of them`,
	"header_and_gemini_key":        `1:78: providers[0].headers.x-goog-api-key: is set from api_key; give only one of them`,
	"header_name":                  `1:83: providers[0].headers.X Team: is not a header name`,
	"header_of_signature":          `1:82: providers[0].headers.x-amz-date: is set by the signature of the request`,
	"header_of_sluice":             `1:89: providers[0].headers.content-length: is set by sluice itself`,
	"header_twice":                 `1:92: providers[0].headers.x-team: is set twice in different cases`,
	"header_value":                 `1:81: providers[0].headers.X-Team: holds a line break or another control character, which no header can carry`,
	"hedge_without_attempts":       `3:61: models[0].hedge_after: needs retry.attempts of at least 2, because the second call counts`,
	"include_usage_of_gemini":      `1:55: providers[0].include_usage: has no meaning for the dialect gemini, which reports usage unasked`,
	"keep_short":                   `2:7: keep: "30m" is less than 1h; 0 keeps records for ever`,
	"key_alias":                    `2:16: keys[0].alias: "al ice" must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit`,
	"key_alias_twice":              `4:13: keys[1].alias: alias "a" is already the name of keys[0]`,
	"key_hash":                     `2:31: keys[0].sha256: must be 64 hex digits: the SHA-256 of the key, as printed by sluice keys hash`,
	"key_hash_twice":               `4:24: keys[1].sha256: is the same key as keys[0]`,
	"key_metadata_long":            `2:110: keys[0].metadata.team: must be at most 256 bytes without control characters`,
	"key_metadata_name":            `2:103: keys[0].metadata: the name "" must be 1 to 256 bytes without control characters`,
	"key_model":                    `3:108: keys[0].models[1]: "fats*" is the name of no model, and of no provider and a slash; did you mean fast?`,
	"key_model_empty":              `2:102: keys[0].models[0]: "" must be 1 to 256 bytes without control characters`,
	"ledger_directory":             `2:9: ledger: the file cannot be made: it is a directory`,
	"ledger_folder":                `2:9: ledger: the file cannot be made: not a directory`,
	"ledger_form":                  `2:9: ledger: must be a URL as sqlite:///path/ledger.db or postgres://user:password@host/database, or memory`,
	"ledger_password":              `2:9: ledger: is not a URL; in a password write %40 for @, %23 for # and %2F for /`,
	"ledger_without_database":      `2:9: ledger: names no database; write it as postgres://host/database`,
	"list_is_a_mapping":            `1:12: providers: must be a list, not a mapping`,
	"listen_clash":                 `3:17: admin.listen: the API listener (":7000") and the admin listener ("127.0.0.1:7000") need different addresses`,
	"listen_clash_with_default":    `2:9: listen: the API listener (":9090") and the admin listener ("127.0.0.1:9090") need different addresses`,
	"listen_form":                  `2:9: listen: "8080" is not an address; write host:port, :port or unix:/path/to.sock`,
	"listen_port":                  `2:9: listen: ":http" has a port that is not between 0 and 65535`,
	"listen_scheme":                `2:9: listen: "http://localhost:8080" is a URL; write host:port without a scheme`,
	"listen_socket":                `2:9: listen: "unix:" names no socket; write unix:/path/to.sock`,
	"log_level":                    `2:14: log.level: "verbose" is not one of debug, info, warn, error`,
	"merge_of_a_value":             `2:11: log: << must name a mapping, not a single value`,
	"misplaced_key":                `2:1: connect: unknown key here; did you mean timeouts.connect?`,
	"model_alias":                  `3:53: models[0].aliases[0]: "a b" must be 1 to 128 letters, digits or any of . _ : @ / + - and begin with a letter or digit; one * may stand for any characters`,
	"model_alias_is_a_name":        `4:56: models[1].aliases[1]: model "m" is already the name of models[0]`,
	"model_alias_twice":            `4:12: models[1].name: model "x-*" is already an alias of models[0]`,
	"model_alias_without_star":     `3:64: models[0].aliases[1]: "chat" needs a *, which says what the one in the target's model "m-*" stands for`,
	"model_data_content":           `2:13: model_data: the file "testdata/list.json" does not hold a JSON object`,
	"model_data_directory":         `2:13: model_data: the file "testdata" cannot be read: is a directory`,
	"model_data_missing":           `2:13: model_data: the file "testdata/absent.json" cannot be read: no such file or directory`,
	"model_name":                   `2:17: models[0].name: "a model" must be 1 to 128 letters, digits or any of . _ : @ / + - and begin with a letter or digit; one * may stand for any characters`,
	"model_name_twice":             `4:12: models[1].name: model "m" is already the name of models[0]`,
	"model_name_two_stars":         `3:12: models[0].name: "a-*-*" must not hold more than one *`,
	"model_with_empty_targets":     `2:29: models[0].targets: must name at least one target`,
	"model_without_targets":        `2:10: models[0].targets: is required`,
	"no_providers":                 `1:1: providers: at least one is needed: list one, set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or COHERE_API_KEY, or add {name: sim, dialect: sim} to try sluice without a vendor`,
	"not_a_mapping":                `1:1: must be a mapping of keys, not a list`,
	"number":                       `2:10: records: "many" must be a whole number`,
	"number_out_of_bounds":         `2:10: records: "0" is less than 1`,
	"on_ledger_failure":            `2:20: on_ledger_failure: "deny" is not one of auto, refuse, allow`,
	"platform_of_bedrock":          `1:51: providers[0].platform: must be left out: the dialect bedrock is spoken on Amazon Bedrock only`,
	"platform_of_cohere":           `1:50: providers[0].platform: is only for the dialect anthropic, not cohere`,
	"platform_of_gemini":           `1:50: providers[0].platform: the dialect gemini is not spoken on bedrock, only on vertex`,
	"platform_of_openai":           `1:73: providers[0].platform: is only for the dialects anthropic and gemini, not openai`,
	"platform_unknown":             `1:53: providers[0].platform: "vertexai" is not one of vertex, bedrock; did you mean vertex?`,
	"price_negative":               `2:40: prices.overrides[0].input: "-1" must not be negative`,
	"price_of_nobody":              `2:33: prices.overrides[0].provider: no provider is named "simm"; did you mean sim?`,
	"price_too_exact":              `2:40: prices.overrides[0].input: "1e-10" has more than nine decimals; amounts are whole numbers of 0.000000001 USD`,
	"price_twice":                  `6:7: prices.overrides[2]: is for the same as prices.overrides[0]`,
	"price_without_model":          `2:30: prices.overrides[0].model: the value must not be empty`,
	"prices_content":               `2:16: prices.file: the file "testdata/list.json" does not hold a JSON object`,
	"prices_missing":               `2:16: prices.file: the file "testdata/absent.json" cannot be read: no such file or directory`,
	"project_form":                 `1:86: providers[0].project: "a/b" must be made of at most 128 letters, digits, dashes, dots and colons: it becomes part of a URL`,
	"project_missing":              `1:13: providers[0].project: is required on vertex; write it or set GOOGLE_CLOUD_PROJECT`,
	"project_without_vertex":       `1:69: providers[0].project: is only for the platform vertex`,
	"provider_name_character":      `1:20: providers[0].name: "a\"b" must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit`,
	"provider_name_empty":          `1:20: providers[0].name: the value must not be empty`,
	"provider_name_reserved":       `1:20: providers[0].name: "other" is reserved: metrics use it for whatever is not configured`,
	"provider_name_slash":          `1:20: providers[0].name: "a/b" must not contain a slash: provider/model names are cut there`,
	"provider_name_twice":          `3:12: providers[1].name: provider "sim" is already the name of providers[0]`,
	"provider_without_dialect":     `1:13: providers[0].dialect: is required`,
	"provider_without_name":        `1:13: providers[0].name: is required`,
	"queue_wait":                   `2:15: queue.wait: must be more than 0; max: 0 lets nobody wait`,
	"quirk_twice":                  `1:96: providers[0].quirks[2]: is listed twice`,
	"quirk_unknown":                `1:72: providers[0].quirks[0]: "short_call_id" is not one of short_call_ids, no_developer_role, max_tokens, max_completion_tokens, drop_reasoning, think_tags; did you mean short_call_ids?`,
	"quirks_contradict":            `1:71: providers[0].quirks: must not hold both max_tokens and max_completion_tokens: each says that the server takes no other`,
	"quirks_of_gemini":             `1:48: providers[0].quirks: are for servers that speak openai or azure, not gemini`,
	"redis_database":               `2:8: redis: has a path that is not the number of a database; write it as redis://host:6379/0`,
	"redis_form":                   `2:8: redis: must be a URL as redis://user:password@host:6379/0, or rediss:// with TLS`,
	"redis_host":                   `2:8: redis: names no host`,
	"reference_file":               `1:72: providers[0].api_key: the file testdata/absent cannot be read: no such file or directory`,
	"reference_malformed":          `2:9: listen: holds a malformed reference; write ${NAME}, ${NAME:-default}, ${file:/path}, or $${ for a plain ${`,
	"reference_open":               `2:9: listen: a ${ is not closed; write $${ for a plain ${`,
	"region_form":                  `1:49: providers[0].region: "evil.example/" must be made of at most 48 small letters, digits and dashes: it becomes part of a URL`,
	"region_missing":               `1:13: providers[0].region: is required on bedrock; write it or set AWS_REGION or AWS_DEFAULT_REGION`,
	"region_missing_on_vertex":     `1:13: providers[0].region: is required on vertex; write it or set GOOGLE_CLOUD_LOCATION or GOOGLE_CLOUD_REGION`,
	"region_without_cloud":         `1:51: providers[0].region: is only for the platforms vertex and bedrock and for the dialect bedrock`,
	"retry_attempts":               `2:19: retry.attempts: "11" is more than 10`,
	"retry_budget":                 `2:17: retry.budget: "101" is more than 100`,
	"retry_within":                 `2:17: retry.within: must be more than 0; attempts: 1 makes no further call`,
	"section_is_a_list":            `2:11: timeouts: must be a mapping of keys, not a list`,
	"simulator_with_url":           `1:49: providers[0].base_url: the simulator is built in and takes no base_url`,
	"size":                         `2:20: limits.max_body: "4 megabytes" is not a size; write it as 4MiB, 64KiB, 10MB or a number of bytes`,
	"size_too_large":               `2:22: limits.max_answer: "999999999999GiB" is too large`,
	"size_too_small":               `2:22: limits.max_header: "100B" is less than 1KiB`,
	"spool_dir":                    `2:12: spool_dir: the folder "testdata/list.json" cannot be made: list.json is not a directory`,
	"spool_small":                  `2:8: spool: "64KiB" is less than 1MiB`,
	"sticky_form":                  `3:51: models[0].sticky: "x session" is neither key nor the name of a header`,
	"sticky_key_case":              `3:51: models[0].sticky: "Key" must be written in small letters: key`,
	"sticky_underscore":            `3:51: models[0].sticky: "session_id" holds an underscore; headers with one are dropped`,
	"syntax":                       `2: not valid YAML: found unexpected end of stream`,
	"tab":                          `3: not valid YAML: found character that cannot start any token`,
	"target_priority":              `3:51: models[0].targets[0].priority: "0" is less than 1`,
	"target_provider":              `2:41: models[0].targets[0].provider: no provider is named "simm"; did you mean sim?`,
	"target_star":                  `3:48: models[0].targets[0].model: "gpt-*" holds a *, but the name of the model has none that could say what it stands for`,
	"target_two_stars":             `3:52: models[0].targets[0].model: "a-*-*" must not hold more than one *`,
	"target_weight":                `2:54: models[0].targets[0].weight: "-1" is less than 1`,
	"tls_content":                  `2:6: tls: cert_file and key_file are not a certificate and its private key in PEM form`,
	"tls_directory":                `2:18: tls.cert_file: the file "testdata" cannot be read: is a directory`,
	"tls_file_missing":             `2:53: tls.key_file: the file "testdata/absent.pem" cannot be read: no such file or directory`,
	"tls_incomplete":               `2:6: tls.key_file: is required`,
	"two_documents":                `2:1: a second YAML document begins here; only one is allowed`,
	"unknown_key":                  `2:1: lissten: unknown key; did you mean listen?`,
	"unknown_nested_key":           `3:3: timeouts.first-token: unknown key; did you mean first_token?`,
	"unlike_any_key":               `2:7: log.colour: unknown key; known in log: level, format`,
	"url_compatible_gemini":        `1:50: providers[0].base_url: ends in /openai, where the vendor speaks the dialect openai`,
	"url_compatible_ollama":        `1:50: providers[0].base_url: ends in /v1, where the vendor speaks the dialect openai`,
	"url_default_is_own_address":   `2:13: providers[0].base_url: is the address sluice itself listens on, so every request would come back in`,
	"url_dots":                     `1:50: providers[0].base_url: must not hold a .. in its path`,
	"url_host":                     `1:50: providers[0].base_url: names no host`,
	"url_missing":                  `1:13: providers[0].base_url: is required for the dialect openai, as in https://api.openai.com/v1`,
	"url_missing_of_azure":         `1:13: providers[0].base_url: is required for the dialect azure, as in https://NAME.openai.azure.com`,
	"url_of_a_deployment":          `1:49: providers[0].base_url: names a deployment; stop before /deployments: the model's name says which one`,
	"url_operation":                `1:50: providers[0].base_url: ends in /chat/completions, which sluice adds itself; stop at "/api"`,
	"url_operation_of_anthropic":   `1:53: providers[0].base_url: ends in /messages, which sluice adds itself; stop at "/v1"`,
	"url_own_address":              `2:50: providers[0].base_url: is the address sluice itself listens on, so every request would come back in`,
	"url_port":                     `1:50: providers[0].base_url: has a port that is not between 1 and 65535`,
	"url_query":                    `1:50: providers[0].base_url: must not hold a query or a fragment`,
	"url_scheme":                   `1:50: providers[0].base_url: must begin with https:// or http://`,
	"url_user":                     `1:50: providers[0].base_url: must not hold a user or password; use api_key or headers`,
	"url_with_versions":            `1:49: providers[0].base_url: ends in /openai; go on to /openai/v1, or set api_version`,
	"url_without_versions":         `1:49: providers[0].base_url: ends in /openai/v1, which knows no api_version; leave out one of them`,
	"usage_lookup_of_anthropic":    `1:57: providers[0].usage_lookup: is for servers that speak openai, not anthropic`,
	"value_is_a_list":              `2:9: listen: must be text, not a list`,
	"variable_unset":               `1:72: providers[0].api_key: the environment variable UNSET_KEY is not set; ${UNSET_KEY:-default} would give a default`,
	"variable_with_bad_value":      `3:9: timeouts.idle: the value needs a unit, as in 30s, 500ms, 1m30s or 90d`,
}

func TestBadFilesAreRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(badFiles))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".bad.yaml")
		c, err := config.Load(file, noVendors)
		require.Nil(t, c, name)
		var problems *config.Problems
		require.ErrorAs(t, err, &problems, name)
		require.Len(t, problems.List, 1, "%s: %v", name, err)
		require.Equal(t, badFiles[name], problems.List[0].String(), name)
		require.Equal(t, file+":"+badFiles[name], err.Error())
	}
}
