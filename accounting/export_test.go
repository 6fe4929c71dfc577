package accounting

// FamilyName is the family that a model is counted in.
func FamilyName(model string) string {
	f, _ := familyOf(model)
	return f.name
}

// RecordedCost is what an estimate has of a constant that was taken from recordings: its
// name, how often it is in it, and how large it is.
type RecordedCost struct {
	What        string
	Times, Size float64
}

func recorded(what string, times, size float64) RecordedCost {
	if size == 0 {
		times = 0
	}
	return RecordedCost{what, times, size}
}

// OutputCost returns the constant that decides about an answer: that of a tool call where
// there is one, and else that of its end.
func OutputCost(model string, text OutputText) RecordedCost {
	f, _ := familyOf(model)
	switch {
	case text.Calls > 1 && f.answer.wrapped > 0:
		return RecordedCost{}
	case text.Calls > 0:
		return recorded("call", float64(text.Calls), f.answer.call)
	}
	return recorded("end", float64(text.Ended), f.answer.end)
}

// ToolsCost returns the constant that decides about a prompt with tools.
func ToolsCost(model string) RecordedCost {
	f, _ := familyOf(model)
	return recorded("tools", 1, f.tools.some)
}
