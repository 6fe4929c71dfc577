package accounting

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func TestRecordIsOneLogLineWithoutWhatIsAbsent(t *testing.T) {
	took := int64(54)
	r := &Record{
		ID: "a", Outcome: OutcomeClientGone, Phase: PhaseStreaming, StatusDownstream: 499, Stream: true,
		ToFirstToken: 1500 * time.Microsecond, Usage: tokens.Usage{Output: tokens.Known(0)}, UsageSource: SourceRunning,
		CloseMicros: &took, RawUsage: json.RawMessage(`{"x":1}`),
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("exchange", "record", r)
	var line struct{ Record map[string]any }
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, map[string]any{
		"id": "a", "outcome": "client_gone", "phase": "streaming", "status_downstream": 499.0, "stream": true,
		"to_first_token_ms": 1.5, "chunks": 0.0, "bytes_delivered": 0.0, "delivered": false,
		"usage_source": "running", "output": 0.0, "close_us": 54.0,
	}, line.Record)
}
