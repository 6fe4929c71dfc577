package main

import (
	"sync"
	"time"
)

// drainClock remembers when the drain began. Its time runs once, be it from the call of a hook
// or from the first signal: whoever stops sluice has no patience for both.
type drainClock struct {
	once  sync.Once
	began time.Time
}

// start begins the drain, if it has not begun.
func (c *drainClock) start() { c.once.Do(func() { c.began = time.Now() }) }

// left is what is left of the time for the drain, which has begun at the latest now.
func (c *drainClock) left(limit time.Duration) time.Duration {
	c.start()
	return limit - time.Since(c.began)
}
