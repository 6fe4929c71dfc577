package downstream

import (
	"bytes"
	"io"
	"net"
	"time"
)

type stage uint8

const (
	stageIdle stage = iota // the next byte belongs to a new request
	stageHead              // the head is being handed over
	stageBody              // left says how much is to come
	stageChunked
	stageFailed
)

// session is the connection that fasthttp sees in one ServeConn. It hands over
// one checked request at a time and not a byte beyond, because whatever fasthttp
// has buffered is lost when a connection is detached. It never closes the
// socket: that is decided when ServeConn has returned.
type session struct {
	conn   *Conn
	limits *bounds // of the present request; its engine reads from the session
	run    func(*Conn)

	stage   stage
	in      *inbox // held while a head is read and until its body outgrows it
	ready   int    // end of the checked head in the inbox
	chunked bool
	left    int64 // of a body with a known length
	chunks  chunkFilter
	pace    bodyPace
	// answered is set by the first byte of a response to the current request.
	answered bool

	rejected *RequestError
	aborted  bool
	moving   bool // the next request needs another engine
	fed      bool // a rejected request's stand-in byte was handed over
}

// Read implements net.Conn for fasthttp.
func (s *session) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch s.stage {
		case stageIdle:
			if err := s.receiveHead(); err != nil {
				return 0, err
			}
		case stageHead:
			n := copy(p, s.in.data[s.in.from:s.ready])
			if s.in.from += n; s.in.from == s.ready {
				s.headTaken()
			}
			return n, nil
		case stageBody:
			return s.readBody(p)
		case stageChunked:
			if n, err := s.readChunks(p); n > 0 || err != nil {
				return n, err
			}
		default:
			return s.readFailure(p)
		}
	}
}

// readFailure lets fasthttp find the error behind one byte: an error in the
// place of a request's first byte would look to it like the end of an idle
// connection, which needs no answer.
func (s *session) readFailure(p []byte) (int, error) {
	switch {
	case s.aborted:
		return 0, io.ErrUnexpectedEOF
	case !s.fed:
		s.fed = true
		p[0] = 'X'
		return 1, nil
	default:
		return 0, s.rejected
	}
}

// receiveHead waits for a request and reads its head. A refused one leaves the
// session failed; an error means that there is no request.
func (s *session) receiveHead() error {
	s.answered = false
	s.conn.ReleaseMemory() // the request before it is answered
	if err := s.awaitFirst(); err != nil {
		return io.EOF
	}
	limits := s.conn.srv.live.Load()
	if limits.engine != s.limits.engine {
		s.move()
		return io.EOF
	}
	s.limits = limits
	end, err := s.fillHead()
	if err != nil || s.rejected != nil {
		return err
	}
	b := s.in.data[s.in.from:end]
	h, bad := parseHead(b, s.conn.isOwn)
	switch {
	case bad != nil:
	case h.length > s.limits.MaxBodyBytes:
		bad = errBodyTooLarge
	case !s.conn.reserve(h.length):
		bad = errOverloaded
	}
	if bad != nil {
		s.reject(bad)
		return nil
	}
	s.conn.persistent.Store(h.http11 && !h.close)
	s.in.from += h.settleExpect(b)
	s.ready = end
	s.pace = bodyPace{timeout: s.limits.BodyTimeout}
	s.left, s.chunked = h.length, h.chunked
	s.chunks = chunkFilter{room: s.limits.MaxBodyBytes, payer: s.conn}
	s.stage = stageHead
	return nil
}

// awaitFirst waits for the first byte of a request, holding no buffer.
func (s *session) awaitFirst() error {
	c := s.conn
	if len(c.held) > 0 {
		s.in = c.srv.takeInbox()
		s.in.data = append(s.in.data, c.held...)
		c.held = nil
		c.requestStart = time.Now()
		return nil
	}
	c.idle.Store(true)
	if c.srv.Draining() && !c.wire.unread() && c.idle.CompareAndSwap(true, false) {
		return io.EOF
	}
	if err := c.wire.SetReadDeadline(deadlineAfter(c.srv.live.Load().IdleTimeout)); err != nil {
		return err
	}
	n, err := c.stream.Read(c.first[:])
	if !c.idle.CompareAndSwap(true, false) {
		return io.EOF // a drain has closed it
	}
	if n == 0 {
		return err
	}
	s.in = c.srv.takeInbox()
	s.in.data = append(s.in.data, c.first[0])
	c.requestStart = time.Now()
	return nil
}

// move ends the session, so that another engine reads the request whose first byte
// has come. fasthttp takes it for the end of an idle connection.
func (s *session) move() {
	s.moving = true
	s.conn.held = bytes.Clone(s.in.data)
	s.dropInbox()
}

// fillHead reads until the head is complete and returns where it ends in the
// inbox; it starts at the inbox's from.
func (s *session) fillHead() (end int, err error) {
	var scan headScan
	for timed := false; ; {
		end, bad := scan.scan(s.in.data)
		seen := end
		if seen == 0 {
			seen = len(s.in.data)
		}
		if bad == nil && seen-scan.start > s.limits.MaxHeaderBytes {
			bad = errHeadTooLarge
		}
		if bad != nil {
			s.reject(bad)
			return 0, nil
		}
		if end > 0 {
			s.in.from = scan.start
			return end, nil
		}
		if !timed {
			timed = true
			_ = s.conn.wire.SetReadDeadline(deadlineAfter(s.limits.HeaderTimeout)) // the read tells
		}
		s.conn.srv.growInbox(s.in, s.limits.MaxHeaderBytes)
		n, err := s.conn.stream.Read(s.in.data[len(s.in.data):cap(s.in.data)])
		s.in.data = s.in.data[:len(s.in.data)+n]
		switch {
		case n > 0:
		case isTimeout(err):
			s.reject(errSlowHead)
			return 0, nil
		default:
			s.abort(len(s.in.data) > scan.start)
			return 0, io.EOF
		}
	}
}

// headTaken moves on when fasthttp has got the whole head.
func (s *session) headTaken() {
	switch {
	case s.chunked:
		s.stage = stageChunked
	case s.left > 0:
		s.stage = stageBody
	default:
		s.finishRequest()
	}
}

// finishRequest gives the inbox back; what has arrived behind the request waits
// with the connection.
func (s *session) finishRequest() {
	s.stage = stageIdle
	if s.in != nil && s.in.len() > 0 {
		s.conn.held = bytes.Clone(s.in.data[s.in.from:])
	}
	s.dropInbox()
}

func (s *session) dropInbox() {
	if s.in != nil {
		s.conn.srv.putInbox(s.in)
		s.in = nil
	}
}

func (s *session) readBody(p []byte) (int, error) {
	n, err := s.bodyBytes(p[:min(int64(len(p)), s.left)])
	if err != nil {
		return 0, err
	}
	if s.left -= int64(n); s.left == 0 {
		s.finishRequest()
	}
	return n, nil
}

func (s *session) readChunks(p []byte) (int, error) {
	ahead := s.in != nil && s.in.len() > 0
	n, err := s.bodyBytes(p)
	if err != nil {
		return 0, err
	}
	kept, used, done, bad := s.chunks.filter(p[:n])
	if bad != nil {
		s.reject(bad)
		s.fed = true
		return 0, bad
	}
	if done {
		if ahead {
			s.in.from -= n - used
		} else if used < n {
			s.conn.held = bytes.Clone(p[used:n])
		}
		s.finishRequest()
	}
	return kept, nil
}

// bodyBytes reads at least one byte behind the head, from the inbox first.
func (s *session) bodyBytes(p []byte) (int, error) {
	if s.in != nil {
		if n := copy(p, s.in.data[s.in.from:]); n > 0 {
			s.in.from += n
			return n, nil
		}
		s.dropInbox()
	}
	_ = s.conn.wire.SetReadDeadline(s.pace.deadline()) // the read tells
	n, err := s.conn.stream.Read(p)
	s.pace.received += int64(n)
	switch {
	case n > 0:
		return n, nil
	case isTimeout(err):
		s.reject(errSlowBody)
		s.fed = true
		return 0, errSlowBody
	default:
		s.abort(true)
		return 0, io.ErrUnexpectedEOF
	}
}

// reject ends the session with an error that fasthttp will answer with.
func (s *session) reject(err *RequestError) {
	s.rejected = err
	s.stage = stageFailed
	s.conn.persistent.Store(false)
	s.dropInbox()
}

// abort ends the session of a client that left within a request.
func (s *session) abort(started bool) {
	s.aborted = true
	s.stage = stageFailed
	s.conn.persistent.Store(false)
	s.dropInbox()
	if started && !s.conn.closed.Load() {
		s.conn.srv.cfg.OnAbortedUpload()
	}
}

// parting tells whether the session ended with an answer that the client should
// get to read before the connection is closed.
func (s *session) parting() bool { return s.answered && !s.aborted }

// release ends the session when ServeConn has returned. fasthttp may keep it in
// a pool, so it must not keep the connection alive.
func (s *session) release() {
	s.dropInbox()
	s.conn = nil
}

// Write implements net.Conn for fasthttp.
func (s *session) Write(p []byte) (int, error) {
	if s.aborted {
		return 0, errAborted
	}
	s.answered = true
	_ = s.conn.wire.SetWriteDeadline(deadlineAfter(s.conn.srv.live.Load().BodyTimeout)) // the write tells
	return s.conn.stream.Write(p)
}

// Close does nothing: fasthttp calls it for a detached connection too.
func (s *session) Close() error { return nil }

// LocalAddr implements net.Conn.
func (s *session) LocalAddr() net.Addr { return s.conn.wire.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *session) RemoteAddr() net.Addr { return s.conn.wire.RemoteAddr() }

// SetDeadline does nothing: the session keeps its own deadlines.
func (s *session) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *session) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *session) SetWriteDeadline(time.Time) error { return nil }
