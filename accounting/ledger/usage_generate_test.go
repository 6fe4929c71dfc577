package ledger

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// generatedDays is how far apart the first and the last generated exchange are.
const generatedDays = 90

// generatedStart is when the first one begins, in microseconds.
var generatedStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// generateExchanges makes exchanges as a busy sluice would leave them, evenly over the days:
// 20 keys of which a few are used most, 10 models at two providers each, and every outcome.
// The numbers are made of n, so that both engines get the same rows.
const generateExchanges = `
WITH RECURSIVE step(n) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT n + 1 FROM step WHERE n < ?),
random AS (
  SELECT n, CAST(? AS BIGINT) + n * ? AS at,
    (n * 2654435761 % 4294967296) / 65536 AS a, (n * 2246822519 % 4294967296) / 65536 AS b,
    (n * 3266489917 % 4294967296) / 65536 AS c, (n * 668265263 % 4294967296) / 65536 AS d,
    (n * 374761393 % 4294967296) / 65536 AS e
  FROM step
),
drawn AS (
  SELECT n, at, a * a / 214748365 AS key, b * 10 / 65536 AS model,
    (b * 10 / 65536 + CASE WHEN c < 6000 THEN 1 ELSE 0 END) % 5 AS provider,
    CASE WHEN d < 57000 THEN 'completed' WHEN d < 61000 THEN 'client_gone' WHEN d < 62500 THEN 'upstream_error'
      WHEN d < 63500 THEN 'cancelled' WHEN d < 64200 THEN 'upstream_timeout' WHEN d < 64700 THEN 'upstream_truncated'
      WHEN d < 65000 THEN 'client_stalled' WHEN d < 65200 THEN 'limit' WHEN d < 65350 THEN 'shutdown'
      WHEN d < 65450 THEN 'crash' ELSE 'internal' END AS outcome,
    200 + e / 8 AS input, 20 + a % 1500 AS output, c, e
  FROM random
)
INSERT INTO exchanges (uid, id, instance, started_at, day, key, model, model_served, provider, target, dialect_in,
  dialect_out, endpoint, stream, phase, outcome, code, half_closed, status_downstream, status_upstream, chunks,
  bytes_delivered, delivered, to_headers_us, to_first_token_us, total_us, close_us, usage_source, output_estimated,
  input, input_cached, input_cache_write, input_audio, output, output_reasoning, output_audio, raw_usage,
  service_tier, may_bill, cost_nano_usd, cost_low_nano_usd, cost_high_nano_usd, detail)
SELECT {{uid}}, 'req_' || {{hex}}, 'sluice-7d4b9c6f5-x2x7q', at, at / 86400000000,
  'team-' || key, 'model-' || model, 'vendor-model-' || model || '-2026-01-01', 'provider-' || provider,
  'provider-' || provider || '/vendor-model-' || model, 'openai', CASE provider WHEN 0 THEN 'anthropic' ELSE 'openai' END,
  'chat/completions', e % 4 > 0, CASE outcome WHEN 'completed' THEN 'tail' ELSE 'streaming' END, outcome,
  CASE outcome WHEN 'completed' THEN '' ELSE outcome END, FALSE, 200, 200, output, output * 180, outcome = 'completed',
  210000 + c, 430000 + c, 430000 + c + output * 15000, CASE outcome WHEN 'completed' THEN NULL ELSE 150 + c % 400 END,
  CASE WHEN outcome = 'completed' THEN 'reported' WHEN outcome IN ('client_gone', 'cancelled', 'limit')
    THEN CASE provider WHEN 0 THEN 'running' ELSE 'estimated' END WHEN e % 3 = 0 THEN 'none' ELSE 'estimated' END,
  FALSE, input, CASE provider WHEN 3 THEN NULL ELSE input / 3 END, CASE provider WHEN 0 THEN input / 9 END, NULL,
  output, CASE WHEN model > 6 THEN output / 2 END, NULL,
  CASE outcome WHEN 'completed' THEN '{"prompt_tokens":' || input || ',"completion_tokens":' || output
    || ',"total_tokens":' || (input + output) || ',"prompt_tokens_details":{"cached_tokens":' || (input / 3)
    || '},"completion_tokens_details":{"reasoning_tokens":0}}' END,
  '', CASE outcome WHEN 'completed' THEN 'full' ELSE 'partial' END,
  CASE WHEN model < 9 THEN input * 150 + output * 600 END, CASE WHEN model < 9 THEN input * 150 END,
  CASE WHEN model < 9 AND provider < 4 THEN input * 150 + output * 600 END,
  '{"finish_reasons":["stop"],"upstream_request_id":"chatcmpl-' || {{hex}} || '"}'
FROM drawn`

// One exchange in fifty has an abandoned attempt before the final one, at the next provider.
const (
	generateAttempts = `
INSERT INTO attempts (uid, n, id, provider, model, phase, outcome, code, status, started_at, duration_us, reused, kind)
SELECT uid, CASE WHEN output % 50 = 0 THEN 2 ELSE 1 END, id || '-1', provider, model_served, phase, outcome, code, status_upstream,
  started_at, total_us, TRUE, CASE WHEN output % 50 = 0 THEN 'retry' ELSE 'first' END FROM exchanges`
	generateAbandoned = `
INSERT INTO attempts (uid, n, id, provider, model, phase, outcome, code, status, started_at, duration_us, reused, kind,
  final, usage_source, input, output, may_bill, cost_nano_usd, cost_low_nano_usd, cost_high_nano_usd, counts_at)
SELECT uid, 1, id || '-0', 'provider-' || ((CAST(substr(provider, 10) AS INTEGER) + 1) % 5), model_served, 'await_token', 'upstream_timeout', '', 200,
  started_at, 800000, FALSE, 'first', FALSE, 'estimated', input, 0, 'partial', input * 150, input * 150, input * 150, started_at
FROM exchanges WHERE output % 50 = 0`
)

// generate fills empty books with exchanges and their sums.
func generate(tb testing.TB, b *Books, exchanges int64) {
	tb.Helper()
	words := strings.NewReplacer("{{uid}}", "decode(lpad(to_hex(at / 1000), 12, '0') || '7' || lpad(to_hex(n), 19, '0'), 'hex')", "{{hex}}", "lpad(to_hex(n * 2654435761), 16, '0')")
	if b.engine == SQLite {
		words = strings.NewReplacer("{{uid}}", "unhex(printf('%012x7%019x', at / 1000, n))", "{{hex}}", "printf('%016x', n * 2654435761)")
	}
	do := func(statement string, args ...any) {
		_, err := b.db.ExecContext(context.Background(), b.rebind(statement), args...)
		require.NoError(tb, err)
	}
	const batch = 100_000
	apart := generatedDays * dayMicros / exchanges
	for first := int64(0); first < exchanges; first += batch {
		do(words.Replace(generateExchanges), first, min(first+batch, exchanges)-1, generatedStart, apart)
	}
	do(generateAttempts)
	do(generateAbandoned)
	do("INSERT INTO usage_daily (" + groupColumns + ", " + namesOf(sumColumns) + ") " + recountedSums)
	if b.engine == PostgreSQL {
		do("VACUUM (ANALYZE)") // as the server itself does after a while
	} else {
		do("PRAGMA wal_checkpoint(TRUNCATE)")
	}
}
