package sse

// fields interprets the lines of a block (WHATWG HTML 9.2.6): a field is what
// stands before the first colon, one space behind the colon is dropped, a line
// without a colon is a name with an empty value, and a line that starts with
// one is a comment. Only event and data matter to a proxy.
func (s *Scanner) fields(ev *Event, block []byte) {
	lines := 0
	lf, cr := -1, -1
	for i := 0; i < len(block); {
		if lf < i {
			lf = indexFrom(block, i, '\n')
		}
		if cr < i {
			cr = indexFrom(block, i, '\r')
		}
		end := min(lf, cr)
		line := block[i:end:end]
		i = end + 1
		if value, ok := field(line, "data"); ok {
			s.addData(ev, value, lines)
			lines++
		} else if value, ok := field(line, "event"); ok {
			ev.Name = value
		}
	}
}

// field returns the value of line if it is a field of the given name. An empty
// value is not nil.
func field(line []byte, name string) (value []byte, ok bool) {
	n := len(name)
	if len(line) < n || string(line[:n]) != name {
		return nil, false
	}
	switch {
	case len(line) == n:
		return line[n:], true
	case line[n] != ':':
		return nil, false
	case len(line) > n+1 && line[n+1] == ' ':
		return line[n+2:], true
	}
	return line[n+1:], true
}

// addData adds one data field; the first costs nothing, more are joined in a buffer.
func (s *Scanner) addData(ev *Event, value []byte, before int) {
	switch before {
	case 0:
		ev.Data = value
		return
	case 1:
		s.joined = append(s.joined[:0], ev.Data...)
	}
	s.joined = append(append(s.joined, '\n'), value...)
	ev.Data, ev.Joined = s.joined, true
}
