package replicas

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait; a wait that reaches it is a failure.
const patience = 20 * time.Second

// newClient has short timeouts, as sluice's own.
func newClient(tb testing.TB, address string) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: address, ContextTimeoutEnabled: true, MaxRetries: 1, DialerRetries: 1,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	tb.Cleanup(func() { require.NoError(tb, client.Close()) })
	return client
}

// says returns an Answer that says the same to every question of a kind "name".
func says(name string) func(string, []byte) ([]byte, bool) {
	return func(kind string, _ []byte) ([]byte, bool) { return []byte(name), kind == "name" }
}

// open opens a Bus that ends with the test and whose first connection has been tried.
func open(tb testing.TB, address string, o Options) *Bus {
	tb.Helper()
	o.Redis = newClient(tb, address)
	if o.Answer == nil {
		o.Answer = says("")
	}
	b, err := Open(context.Background(), o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

// three opens three replicas that hear each other: a, b and c.
func three(tb testing.TB, address string) [3]*Bus {
	tb.Helper()
	var out [3]*Bus
	for i, name := range []string{"a", "b", "c"} {
		out[i] = open(tb, address, Options{Instance: name, Answer: says(name)})
	}
	for _, b := range out {
		awaitPeers(tb, b, 2)
	}
	return out
}

func awaitPeers(tb testing.TB, b *Bus, n int) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		peers, err := b.Peers(within(tb, time.Second))
		return err == nil && peers == n
	}, patience, 10*time.Millisecond, "there should be %d peers", n)
}

func within(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

// texts is for comparing answers in any order.
func texts(answers [][]byte) []string {
	out := make([]string, 0, len(answers))
	for _, a := range answers {
		out = append(out, string(a))
	}
	return out
}
