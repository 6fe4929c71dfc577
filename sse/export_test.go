package sse

// Held returns how many bytes of memory the scanner keeps.
func (s *Scanner) Held() int { return cap(s.held) + cap(s.joined) }
