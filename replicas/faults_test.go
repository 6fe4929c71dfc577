package replicas

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// requireWorksAgain waits until a question is answered by n others.
func requireWorksAgain(tb testing.TB, b *Bus, n int) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		answers, complete := b.Ask(within(tb, time.Second), "name", nil, nil)
		return complete && len(answers) == n
	}, patience, 20*time.Millisecond)
}

func TestAQuestionWhileRedisIsDownComesToNothingAtOnce(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	server.Kill()
	b := open(t, server.Address, Options{})
	for range 3 {
		answers, complete := b.Ask(within(t, patience), "name", nil, nil)
		require.False(t, complete)
		require.Empty(t, answers)
	}
	_, err := b.Peers(within(t, patience))
	require.ErrorIs(t, err, ErrUnavailable)
	b.Tell("news", nil)
	server.Start(t)
	requireWorksAgain(t, b, 0)
}

func TestReplicasFindEachOtherAfterRedisWasKilled(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	buses := three(t, server.Address)
	server.Kill()
	for _, b := range buses {
		_, complete := b.Ask(within(t, patience), "name", nil, nil)
		require.False(t, complete)
	}
	server.Start(t)
	for _, b := range buses {
		requireWorksAgain(t, b, 2)
	}
}

func TestNobodyIsTakenForAbsentWhileConnectionsComeBack(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	link := servers.StartLink(t, server.Address)
	a := open(t, server.Address, Options{Answer: says("a")})
	b := open(t, link.Address, Options{Answer: says("b")})
	awaitPeers(t, a, 1)
	awaitPeers(t, b, 1)
	link.Refuse()
	server.Kill()
	server.Start(t)
	// Redis is back for a alone. Its questions reach nobody else, and it must not say that
	// there is nobody.
	require.Eventually(t, func() bool {
		peers, err := a.Peers(within(t, time.Second))
		return err == nil && peers == 0
	}, patience, 10*time.Millisecond)
	answers, complete := a.Ask(within(t, time.Second), "name", nil, nil)
	require.False(t, complete)
	require.Empty(t, answers)
	link.Accept(t)
	requireWorksAgain(t, a, 1)
}

func TestAStalledRedisEndsQuestionsByTheirDeadline(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	buses := three(t, server.Address)
	server.Stall()
	for range 20 {
		_, complete := buses[0].Ask(within(t, 50*time.Millisecond), "name", nil, nil)
		require.False(t, complete)
	}
	// Until it is given up; from then on there is nothing to wait for.
	require.Eventually(t, func() bool { return buses[0].current.Load() == nil }, patience, 20*time.Millisecond)
	server.Resume()
	for _, b := range buses {
		requireWorksAgain(t, b, 2)
	}
}

func TestALinkThatVanishesIsNoticedAndMadeAnew(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	link := servers.StartLink(t, server.Address)
	far := open(t, link.Address, Options{Answer: says("far")})
	near := open(t, server.Address, Options{Answer: says("near")})
	awaitPeers(t, near, 1)
	awaitPeers(t, far, 1)
	for name, fault := range map[string]struct{ begin, end func() }{
		"stalled": {link.Stall, link.Resume},
		"reset":   {link.Reset, func() {}},
		"refused": {link.Refuse, func() { link.Accept(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			before := far.session(within(t, patience))
			require.NotNil(t, before)
			fault.begin()
			require.Eventually(t, func() bool { return far.current.Load() != before }, patience, 20*time.Millisecond)
			fault.end()
			requireWorksAgain(t, near, 1)
			requireWorksAgain(t, far, 1)
		})
	}
}

func TestCloseEndsWhileRedisStandsStill(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	b := open(t, server.Address, Options{})
	awaitPeers(t, b, 0)
	server.Stall()
	t.Cleanup(server.Resume)
	_, complete := b.Ask(within(t, 50*time.Millisecond), "name", nil, nil)
	require.False(t, complete)
	closed := make(chan error)
	go func() { closed <- b.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "Close hangs")
	}
}
