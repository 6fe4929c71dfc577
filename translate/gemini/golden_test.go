package gemini

import (
	"testing"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

// Each event of a stream stands on a line.
func TestGolden(t *testing.T) {
	dialecttest.Golden(t, Dialect{}, translate.FramingLines)
}

func TestEveryMemberHasARule(t *testing.T) { dialecttest.Rules(t, Dialect{}) }
