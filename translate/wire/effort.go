package wire

import (
	"slices"

	"github.com/sluicehq/sluice/translate"
)

// efforts are the reasoning efforts of the OpenAI API, from none to all.
var efforts = [...]string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Nearest returns what is known for a reasoning effort, or for the one nearest to it;
// of two that are as near, the lesser. Not to think at all is near to nothing. ok is
// false if nothing is known.
func Nearest[V any](known map[string]V, effort string) (v V, ok bool) {
	if v, ok = known[effort]; ok {
		return v, true
	}
	asked := slices.Index(efforts[:], effort)
	if asked < 0 { // of unknown words, the middle is as good as any
		asked = slices.Index(efforts[:], "medium")
	}
	for away := range len(efforts) {
		for _, at := range [...]int{asked - away, asked + away} {
			if at > 0 && at < len(efforts) {
				if v, ok = known[efforts[at]]; ok {
					return v, true
				}
			}
		}
	}
	return v, false
}

// CheckEffort refuses what is no reasoning effort of the OpenAI API. None at all is fine.
func CheckEffort(effort string) *translate.Error {
	if effort == "" || slices.Contains(efforts[:], effort) {
		return nil
	}
	return translate.InvalidType("reasoning_effort", "one of none, minimal, low, medium, high, xhigh and max")
}
