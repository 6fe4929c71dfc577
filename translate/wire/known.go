package wire

import "github.com/sluicehq/sluice/modeldata"

// IsKnown reports whether anything is known of a model.
func IsKnown(m modeldata.Model) bool {
	return m.Context > 0 || m.MaxOutput > 0 || m.Reasoning.Style != "" || len(m.Refuses) > 0 || len(m.Traits) > 0
}
