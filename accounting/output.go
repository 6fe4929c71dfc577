package accounting

// Output returns the tokens of the answer seen so far: text, reasoning,
// refusal, tool names and arguments, and the marks that the model writes around
// them. Where the text kept is only the front of what came (Truncated), the rest
// is taken to have the same density.
func (e *Estimator) Output(model string, text OutputText) int64 {
	f, _ := familyOf(model)
	total, _ := e.output(f, text, false)
	return total
}

// output returns the tokens of the whole answer and of its reasoning.
func (e *Estimator) output(f *modelFamily, text OutputText, formatted bool) (total, reasoning int64) {
	kept := int64(len(text.Content) + len(text.Reasoning) + len(text.Refusal) + len(text.Tools))
	if kept == 0 && text.TotalBytes <= 0 && text.Calls == 0 {
		return 0, 0
	}
	c := e.counterOf(f.vocabulary)
	c.sampling = samplingOf(kept, e.budget())
	c.escaped(text.Reasoning)
	thoughts := c.total()
	text.eachContent(c.escaped)
	c.escaped(text.Refusal)
	c.escaped(text.Tools)
	n := c.total()
	if missing := text.TotalBytes - kept; text.Truncated && missing > 0 {
		if kept == 0 {
			n = float64(missing) / fallbackBytesPerToken
		} else {
			thoughts += thoughts * float64(missing) / float64(kept)
			n += n * float64(missing) / float64(kept)
		}
	}
	total = whole(n + f.answer.marks(text, formatted))
	return total, min(whole(thoughts), total)
}

// marks are the tokens of an answer that stand for no text.
func (a *answerCost) marks(text OutputText, formatted bool) float64 {
	var n float64
	if text.Calls == 0 || len(text.Content) > 0 { // a call has an end of its own
		n = a.end * float64(text.Ended)
		if formatted {
			n += a.formatted * float64(text.Ended)
		}
	}
	switch {
	case len(text.Reasoning) > 0:
		n += a.think
	default:
		n += a.unseen
	}
	if text.Calls > 1 && a.wrapped > 0 {
		return n + a.wrapping + a.wrapped*float64(text.Calls)
	}
	return n + a.call*float64(text.Calls)
}
