package accounting

// FirstToken reports whether the model has produced something.
func (m *Meter) FirstToken() bool { return m.produced }

// Finished returns the number of choices that have a finish reason.
func (m *Meter) Finished() int {
	n := 0
	for i := range m.choices {
		if m.choices[i].finish != "" {
			n++
		}
	}
	return n
}

// OpenChoices returns the indexes of the choices that have no finish reason yet,
// when n were asked for, in ascending order. Choices that have not begun count.
func (m *Meter) OpenChoices(n int) []int {
	var open []int
	for i := range min(max(n, len(m.choices), 1), maxChoices) {
		if !m.finishedChoice(int64(i)) {
			open = append(open, i)
		}
	}
	return open
}

func (m *Meter) finishedChoice(index int64) bool {
	for i := range m.choices {
		if m.choices[i].index == index {
			return m.choices[i].finish != ""
		}
	}
	return false
}
