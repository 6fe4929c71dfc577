package upstream

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// row D10
func TestRetiredPoolKeepsNoConnection(t *testing.T) {
	p := serve(t, answers(okResponse, okResponse))
	pool := openPool(t, Options{BaseURL: p.url()})
	idle, busy := dial(t, pool), dial(t, pool)
	require.True(t, ask(t, idle).Reusable())
	pool.Put(idle)

	pool.Retire()
	require.True(t, idle.closed.Load())
	require.False(t, busy.closed.Load(), "who has begun may end")
	require.True(t, ask(t, busy).Reusable())
	pool.Put(busy)
	require.True(t, busy.closed.Load())

	late := dial(t, pool)
	require.True(t, ask(t, late).Reusable())
	pool.Put(late)
	require.True(t, late.closed.Load())
	require.Nil(t, pool.Idle())
	pool.Retire()
}

// row D10
func TestPoolIsRetiredWhileConnectionsComeBack(t *testing.T) {
	p := serve(t, answers(okResponse))
	for range 20 {
		pool := openPool(t, Options{BaseURL: p.url()})
		var conns []*Conn
		for range 8 {
			c, err := pool.Dial(context.Background())
			require.NoError(t, err)
			ask(t, c)
			conns = append(conns, c)
		}
		var all sync.WaitGroup
		for _, c := range conns {
			all.Go(func() { pool.Put(c) })
		}
		all.Go(pool.Retire)
		all.Wait()
		for _, c := range conns {
			require.True(t, c.closed.Load())
		}
		require.Nil(t, pool.timer)
	}
}
