//go:build !unix

package downstream

import "github.com/sluicehq/sluice/proxy/watch"

// watcher notices nothing here: a departure shows when a write fails.
type watcher struct{}

type registration struct{}

func newWatcher(*watch.Watcher) (*watcher, error) { return &watcher{}, nil }

func (w *watcher) add(*Conn) error { return nil }
func (w *watcher) remove(*Conn)    {}
func (w *watcher) begin(*Conn)     {}
func (w *watcher) end(*Conn)       {}
func (w *watcher) close()          {}
