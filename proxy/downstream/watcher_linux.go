package downstream

import "github.com/sluicehq/sluice/proxy/watch"

// watcher notices departures from the moment a connection is accepted.
type watcher struct {
	*watch.Watcher
	own bool // made here, hence closed here
}

type registration = watch.Registration

func newWatcher(shared *watch.Watcher) (*watcher, error) {
	if shared != nil {
		return &watcher{Watcher: shared}, nil
	}
	w, err := watch.New()
	if err != nil {
		return nil, err
	}
	return &watcher{Watcher: w, own: true}, nil
}

// add registers the connection for as long as its descriptor is open.
func (w *watcher) add(c *Conn) (err error) {
	c.watched, err = w.Add(c.wire.rc, func(e watch.Event) {
		left := departed
		if e == watch.HalfClosed {
			left = halfClosed
		}
		c.tellDeparture(left)
	})
	return err
}

// remove must come before the descriptor is closed.
func (w *watcher) remove(c *Conn) { w.Remove(c.watched) }

// begin and end bracket a watch; registration at accept covers it here.
func (w *watcher) begin(*Conn) {}
func (w *watcher) end(*Conn)   {}

// close must not be called from a departure callback.
func (w *watcher) close() {
	if w.own {
		w.Close()
	}
}
