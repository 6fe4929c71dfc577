package balance_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

// retries tells how many of so many requests a second may be repeated, if all fail and
// each asks three times.
func retries(g *balance.Group, perSecond, seconds int) int {
	allowed := 0
	for range perSecond * seconds {
		g.Began()
		for range 3 {
			if g.MayRetry() {
				allowed++
			}
		}
		pause(time.Second / time.Duration(perSecond))
	}
	return allowed
}

func TestRetriesStayWithinTheirShareOfTheRequestsAndAFew(t *testing.T) {
	for _, c := range []struct{ percent, perSecond, seconds, least, most int }{
		{20, 100, 60, 1200, 1200 + 3*61},
		{20, 1, 60, 12, 60*3 + 3},
		{1, 1000, 60, 600, 600 + 3*61},
		{100, 50, 60, 3000, 3000 + 3*61},
	} {
		t.Run(fmt.Sprintf("%d percent of %d per second", c.percent, c.perSecond), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				allowed := retries(balance.NewGroup(nil, balance.ByWeight, c.percent), c.perSecond, c.seconds)
				require.GreaterOrEqual(t, allowed, c.least)
				require.LessOrEqual(t, allowed, c.most)
			})
		})
	}
}

func TestWithAShareOfNothingThereAreNoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, percent := range []int{0, -5} {
			require.Zero(t, retries(balance.NewGroup(nil, balance.ByWeight, percent), 100, 10))
		}
	})
}

func TestWithLittleTrafficAFewRetriesAreAlwaysAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := balance.NewGroup(nil, balance.ByWeight, 1)
		for range 10 {
			g.Began()
			for range 3 {
				require.True(t, g.MayRetry())
			}
			require.False(t, g.MayRetry())
			pause(time.Second)
		}
	})
}

func TestQuietTimesSaveUpOnlySoMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := balance.NewGroup(nil, balance.ByWeight, 20)
		for range 100_000 {
			g.Began()
		}
		pause(time.Hour)
		allowed := 0
		for g.MayRetry() {
			allowed++
		}
		require.Equal(t, 53, allowed)
	})
}
