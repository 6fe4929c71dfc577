package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/translate"
)

// finishOf is the hub's word for a finish reason. Reasons that are not known are the
// ordinary end; the provider's own word goes along.
func finishOf(native string) string {
	switch native {
	case "MAX_TOKENS":
		return translate.FinishLength
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR":
		return translate.FinishContent
	}
	if strings.HasPrefix(native, "IMAGE_") {
		return translate.FinishContent
	}
	return translate.FinishStop
}

// isWhole tells whether a choice that ends like this has all it was to have, so that a
// call whose arguments were still coming can be completed.
func isWhole(native string) bool { return native == "STOP" }
