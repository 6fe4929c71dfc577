package bedrock_test

import (
	"testing"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/bedrock"
)

// The streams of the golden files are server-sent events that have the names of
// Bedrock's frames, so that they can be read.
func TestGolden(t *testing.T) {
	dialecttest.Golden(t, bedrock.Dialect{}, translate.FramingSSE)
}

func TestEveryMemberHasARule(t *testing.T) { dialecttest.Rules(t, bedrock.Dialect{}) }
