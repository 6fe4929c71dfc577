package proxy

// forwardInPlace forwards b[from:to] without copying it, when b is the slice that
// the last read returned.
func (a *attempt) forwardInPlace(b []byte, from, to int) error {
	if from == to {
		return nil
	}
	buf, off := a.reader.Frame()
	if len(buf) == 0 || &buf[off] != &b[0] { // a decoded body lies in its own buffer
		return a.forwardCopy(b[from:to])
	}
	a.beginWrite()
	return a.written(a.client.bodyInPlace(buf, off+from, off+to))
}

// forward forwards p, which may be the slice that the last read returned.
func (a *attempt) forward(p []byte) error { return a.forwardInPlace(p, 0, len(p)) }

// forwardCopy forwards bytes that have no room around them.
func (a *attempt) forwardCopy(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	a.beginWrite()
	return a.written(a.client.body(p, false))
}

// beginWrite notes that a write to the client is under way. The clock reading of the
// last read is near enough: reading it costs more than comparing a chunk.
func (a *attempt) beginWrite() {
	if a.client.withholds {
		return
	}
	a.timer.writingSince.Store(max(a.upstreamAt.Load(), 1))
}

// written notes the end of a write to the client; a failed one ends the stream.
func (a *attempt) written(err error) error {
	if a.client.withholds {
		if len(a.client.withheld) > maxWithheld {
			a.commit()
		}
		return nil
	}
	a.timer.writingSince.Store(0)
	if err != nil {
		a.relay.ended = true
		a.clientFailed()
		return err
	}
	now := a.upstreamAt.Load()
	if a.timer.slowWrite.Load() {
		a.timer.slowWrite.Store(false)
		now = a.clock()
	}
	a.timer.downstreamAt.Store(now)
	return nil
}
