package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimeForTheDrainRunsOnce(t *testing.T) {
	var c drainClock
	require.InDelta(t, time.Hour, c.left(time.Hour), float64(time.Minute))
	began := c.began
	c.start()
	require.Equal(t, began, c.began)
	c.began = c.began.Add(-time.Hour)
	require.Negative(t, c.left(30*time.Minute), "a hook has used it up")
}
