package balance

// SetRandom makes the order of a group repeatable. random returns numbers in [0, 1).
func (g *Group) SetRandom(random func() float64) { g.random = random }
