package replicas

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

func TestReplicasAnswerEachOther(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	t.Run("all answer", func(t *testing.T) {
		for i, b := range three(t, server.Address) {
			answers, complete := b.Ask(within(t, patience), "name", nil, nil)
			require.True(t, complete)
			others := append([]string{"a", "b", "c"}[:i:i], []string{"a", "b", "c"}[i+1:]...)
			require.ElementsMatch(t, others, texts(answers))
		}
	})
	t.Run("nobody has anything to say", func(t *testing.T) {
		answers, complete := three(t, server.Address)[0].Ask(within(t, patience), "colour", nil, nil)
		require.True(t, complete)
		require.Empty(t, answers)
	})
	t.Run("an empty answer is an answer", func(t *testing.T) {
		asker := open(t, server.Address, Options{Namespace: "empty"})
		open(t, server.Address, Options{Namespace: "empty"})
		awaitPeers(t, asker, 1)
		answers, complete := asker.Ask(within(t, patience), "name", nil, nil)
		require.True(t, complete)
		require.Equal(t, [][]byte{{}}, answers)
	})
	t.Run("alone", func(t *testing.T) {
		b := open(t, server.Address, Options{Namespace: "alone"})
		answers, complete := b.Ask(within(t, patience), "name", nil, nil)
		require.True(t, complete)
		require.Empty(t, answers)
		awaitPeers(t, b, 0)
	})
	t.Run("another namespace is not heard", func(t *testing.T) {
		b := open(t, server.Address, Options{Namespace: "one"})
		open(t, server.Address, Options{Namespace: "two"})
		answers, complete := b.Ask(within(t, patience), "name", nil, nil)
		require.True(t, complete)
		require.Empty(t, answers)
	})
	t.Run("the question arrives as it was put", func(t *testing.T) {
		question := make([]byte, 70_000)
		for i := range question {
			question[i] = byte(i * 7)
		}
		asker := open(t, server.Address, Options{Namespace: "echo"})
		open(t, server.Address, Options{Namespace: "echo", Answer: func(kind string, q []byte) ([]byte, bool) {
			return append([]byte(kind), q...), true
		}})
		awaitPeers(t, asker, 1)
		answers, complete := asker.Ask(within(t, patience), "kind", question, nil)
		require.True(t, complete)
		require.Equal(t, [][]byte{append([]byte("kind"), question...)}, answers)
	})
}

func TestAskReturnsAsSoonAsItHasEnough(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	release := make(chan struct{})
	asker := open(t, server.Address, Options{})
	open(t, server.Address, Options{Answer: says("holder")})
	open(t, server.Address, Options{Answer: func(string, []byte) ([]byte, bool) {
		<-release
		return nil, false
	}})
	t.Cleanup(func() { close(release) })
	awaitPeers(t, asker, 2)
	answers, complete := asker.Ask(within(t, patience), "name", nil, func(answer []byte) bool { return string(answer) == "holder" })
	require.True(t, complete)
	require.Equal(t, []string{"holder"}, texts(answers))
}

func TestASlowReplicaCostsTheAskersDeadlineAndNoMore(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	release := make(chan struct{})
	asker := open(t, server.Address, Options{})
	open(t, server.Address, Options{Answer: says("quick")})
	open(t, server.Address, Options{Answer: func(string, []byte) ([]byte, bool) {
		<-release
		return []byte("slow"), true
	}})
	awaitPeers(t, asker, 2)
	ctx, cancel := context.WithCancel(context.Background())
	answers, complete := asker.Ask(ctx, "name", nil, func([]byte) bool {
		cancel() // the deadline comes when one has answered
		return false
	})
	require.False(t, complete)
	require.Equal(t, []string{"quick"}, texts(answers))
	close(release)
	answers, complete = asker.Ask(within(t, patience), "name", nil, nil)
	require.True(t, complete)
	require.ElementsMatch(t, []string{"quick", "slow"}, texts(answers), "an answer that came too late belongs to nobody")
}

func TestTellReachesTheOthersOnly(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	got := make(chan string, 10)
	note := func(name string) func(string, []byte) ([]byte, bool) {
		return func(kind string, message []byte) ([]byte, bool) {
			got <- name + " " + kind + " " + string(message)
			return []byte("ignored"), true
		}
	}
	a := open(t, server.Address, Options{Answer: note("a")})
	open(t, server.Address, Options{Answer: note("b")})
	open(t, server.Address, Options{Answer: note("c")})
	awaitPeers(t, a, 2)
	a.Tell("news", []byte("rain"))
	require.ElementsMatch(t, []string{"b news rain", "c news rain"}, []string{receive(t, got), receive(t, got)})
	_, complete := a.Ask(within(t, patience), "end", nil, nil)
	require.True(t, complete)
	require.ElementsMatch(t, []string{"b end ", "c end "}, []string{receive(t, got), receive(t, got)})
	require.Empty(t, got)
}

func receive(tb testing.TB, from <-chan string) string {
	tb.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(patience):
		require.Fail(tb, "nothing came")
		return ""
	}
}

func TestAThousandQuestionsAtOnce(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	buses := three(t, server.Address)
	var wait sync.WaitGroup
	failures := make(chan string, 1000)
	for i := range 1000 {
		wait.Go(func() {
			answers, complete := buses[i%3].Ask(within(t, patience), "name", nil, nil)
			if !complete || len(answers) != 2 {
				failures <- fmt.Sprintf("%t %q", complete, answers)
			}
		})
	}
	wait.Wait()
	require.Empty(t, failures)
}

func TestAPanicCostsOneAnswer(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	var log bytes.Buffer
	asker := open(t, server.Address, Options{})
	other := open(t, server.Address, Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Answer: func(kind string, _ []byte) ([]byte, bool) {
			if kind == "bad" {
				panic("a secret of the question")
			}
			return []byte("fine"), true
		},
	})
	awaitPeers(t, asker, 1)
	answers, complete := asker.Ask(within(t, patience), "bad", nil, nil)
	require.True(t, complete)
	require.Empty(t, answers)
	answers, complete = asker.Ask(within(t, patience), "good", nil, nil)
	require.True(t, complete)
	require.Equal(t, []string{"fine"}, texts(answers))
	require.NoError(t, other.Close())
	require.Contains(t, log.String(), "panicked")
	require.NotContains(t, log.String(), "a secret")
}

func TestAnAnswerThatIsTooLargeIsMissing(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	asker := open(t, server.Address, Options{})
	open(t, server.Address, Options{Answer: func(string, []byte) ([]byte, bool) { return make([]byte, largestAnswer+1), true }})
	awaitPeers(t, asker, 1)
	answers, complete := asker.Ask(within(t, 500*time.Millisecond), "list", nil, nil)
	require.False(t, complete)
	require.Empty(t, answers)
}

func TestFramesOfAnotherVersionArePassedOver(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	registry := prometheus.NewRegistry()
	b := open(t, server.Address, Options{Answer: says("b"), Registerer: registry})
	awaitPeers(t, b, 0)
	client := newClient(t, server.Address)
	for _, payload := range []string{"", "\x02whatever", "\x01", "\x01x12345678abcdefgh"} {
		require.NoError(t, client.Publish(context.Background(), b.questions, payload).Err())
		require.NoError(t, client.Publish(context.Background(), b.inbox, payload).Err())
	}
	require.Eventually(t, func() bool { return value(t, b.metrics.passedOver) == 8 }, patience, 10*time.Millisecond)
	_, complete := b.Ask(within(t, patience), "name", nil, nil)
	require.True(t, complete)
}

func TestCloseEndsWhoeverWaits(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	asked, release := make(chan struct{}), make(chan struct{})
	asker := open(t, server.Address, Options{})
	open(t, server.Address, Options{Answer: func(string, []byte) ([]byte, bool) {
		close(asked)
		<-release
		return nil, false
	}})
	t.Cleanup(func() { close(release) })
	awaitPeers(t, asker, 1)
	done := make(chan bool)
	go func() {
		_, complete := asker.Ask(within(t, patience), "name", nil, nil)
		done <- complete
	}()
	<-asked
	require.NoError(t, asker.Close())
	require.False(t, <-done)
	require.NoError(t, asker.Close())
	_, complete := asker.Ask(within(t, patience), "name", nil, nil)
	require.False(t, complete)
	_, err := asker.Peers(within(t, patience))
	require.ErrorIs(t, err, ErrUnavailable)
	asker.Tell("name", nil)
}

func TestMetricsTellWhatCameOfQuestions(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	registry := prometheus.NewRegistry()
	b := open(t, server.Address, Options{Registerer: registry})
	open(t, server.Address, Options{Answer: says("other")})
	awaitPeers(t, b, 1)
	_, complete := b.Ask(within(t, patience), "name", nil, nil)
	require.True(t, complete)
	require.InDelta(t, 1, value(t, b.metrics.up), 0)
	require.InDelta(t, 1, value(t, b.metrics.peers), 0)
	require.InDelta(t, 1, value(t, b.metrics.questions.WithLabelValues("name", "complete")), 0)
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	names := make([]string, 0, len(families))
	for _, f := range families {
		names = append(names, f.GetName())
	}
	require.Subset(t, names, []string{"sluice_replicas_ask_seconds", "sluice_replicas_up", "sluice_replicas_peers", "sluice_replicas_questions_total"})
	_, err = Open(context.Background(), Options{Redis: newClient(t, server.Address), Answer: says(""), Registerer: registry})
	require.ErrorAs(t, err, new(prometheus.AlreadyRegisteredError))
}

// value is that of a counter or gauge.
func value(tb testing.TB, m prometheus.Metric) float64 {
	tb.Helper()
	var out dto.Metric
	require.NoError(tb, m.Write(&out))
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	_, err := Open(context.Background(), Options{Answer: says("")})
	require.Error(t, err)
	client := newClient(t, "127.0.0.1:1")
	_, err = Open(context.Background(), Options{Redis: client})
	require.Error(t, err)
	_, err = Open(context.Background(), Options{Redis: client, Answer: says(""), Instance: string(make([]byte, 300))})
	require.Error(t, err)
}
