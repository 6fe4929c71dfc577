package accounting

import "github.com/sluicehq/sluice/accounting/tokens"

// StateUsage takes in usage that was read elsewhere, because a provider of another
// dialect states it in its own words: raw, which is kept verbatim. The counts are
// cumulative; known ones replace what was known before. final says that nothing of the
// answer can follow, so that the numbers are reported even if the exchange ends badly.
func (m *Meter) StateUsage(u tokens.Usage, raw []byte, final bool) {
	m.usage = tokens.Merge(m.usage, u)
	m.final = final && m.usage.Any()
	m.rawUsage = m.rawUsage[:0]
	if len(raw) <= maxRawUsage {
		m.rawUsage = append(m.rawUsage, raw...)
	}
}

// NoteBadEvent counts an event that could not be read.
func (m *Meter) NoteBadEvent() {
	m.events++
	m.bad++
}
