package translate

// tellApart gives every tool call of a conversation an id of its own, and a result the id
// of its call. Some servers count their calls anew in each answer (call_0), and the calls
// of the older functions have no ids but their names: providers refuse ids that repeat.
// It depends on nothing but the messages in front, so that ids stay the same as the
// conversation goes on. Providers also refuse a second result of a call.
func (c *Chat) tellApart() {
	calls := callLedger{}
	repeated := false
	for i := range c.Messages {
		m := &c.Messages[i]
		for j := range m.Calls {
			m.Calls[j].ID = calls.name(m.Calls[j].ID)
		}
		if m.Role == RoleTool {
			var again bool
			m.CallID, again = calls.answer(m.CallID)
			repeated = repeated || again
		}
	}
	if repeated {
		c.dropRepeated()
	}
}

// callLedger notes of each id that was sent the calls that have it.
type callLedger map[string]*callsOfID

type callsOfID struct {
	names    []string // their ids from now on, in order
	answered int      // how many of them have a result
}

// name is the id of a further call that was sent with this one.
func (l callLedger) name(id string) string {
	calls := l[id]
	if calls == nil {
		calls = &callsOfID{}
		l[id] = calls
	}
	name := id
	if n := len(calls.names); n > 0 {
		name = MintCallID(id, n, 0)
	}
	calls.names = append(calls.names, name)
	return name
}

// answer is the id of the call that a result with this id belongs to: the first that has
// none yet, else the last, and then again is true. A result without a call keeps its id.
func (l callLedger) answer(id string) (name string, again bool) {
	calls := l[id]
	switch {
	case calls == nil:
		return id, false
	case calls.answered < len(calls.names):
		calls.answered++
		return calls.names[calls.answered-1], false
	}
	return calls.names[len(calls.names)-1], true
}

// dropRepeated leaves one result of each call: of those in a row the last, and none that
// comes when the conversation has gone on.
func (c *Chat) dropRepeated() {
	at := map[string]int{} // where the result of a call is among those kept
	turn := 0              // where the results of the latest calls begin
	kept := c.Messages[:0]
	for _, m := range c.Messages {
		if m.Role == RoleAssistant {
			turn = len(kept)
		}
		if earlier, again := at[m.CallID]; m.Role != RoleTool {
			kept = append(kept, m)
		} else if !again {
			at[m.CallID] = len(kept)
			kept = append(kept, m)
		} else {
			if earlier >= turn {
				kept[earlier], m = m, kept[earlier]
			}
			c.repeated = m.Path
		}
	}
	c.Messages = kept
}
