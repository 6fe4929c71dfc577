package openai

// Forget makes the next event be read in full.
func (r *Repair) Forget() { r.frame.forget() }
