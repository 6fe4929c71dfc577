package proxy

// forwardInPlace forwards b[from:to] without copying it, when b is the slice that
// the last read returned.
func (x *exchange) forwardInPlace(b []byte, from, to int) error {
	if from == to {
		return nil
	}
	buf, off := x.reader.Frame()
	if len(buf) == 0 || &buf[off] != &b[0] { // a decoded body lies in its own buffer
		return x.forwardCopy(b[from:to])
	}
	x.beginWrite()
	return x.written(x.client.bodyInPlace(buf, off+from, off+to))
}

// forward forwards p, which may be the slice that the last read returned.
func (x *exchange) forward(p []byte) error { return x.forwardInPlace(p, 0, len(p)) }

// forwardCopy forwards bytes that have no room around them.
func (x *exchange) forwardCopy(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	x.beginWrite()
	return x.written(x.client.body(p, false))
}

// beginWrite notes that a write to the client is under way. The clock reading of the
// last read is near enough: reading it costs more than comparing a chunk.
func (x *exchange) beginWrite() {
	x.timer.writingSince.Store(max(x.timer.upstreamAt.Load(), 1))
}

// written notes the end of a write to the client; a failed one ends the stream.
func (x *exchange) written(err error) error {
	x.timer.writingSince.Store(0)
	if err != nil {
		x.relay.ended = true
		x.clientFailed()
		return err
	}
	now := x.timer.upstreamAt.Load()
	if x.timer.slowWrite.Load() {
		x.timer.slowWrite.Store(false)
		now = x.clock()
	}
	x.timer.downstreamAt.Store(now)
	return nil
}
