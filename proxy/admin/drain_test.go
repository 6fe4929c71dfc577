package admin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func requireWaiting(t *testing.T, calls ...<-chan answer) {
	t.Helper()
	for _, c := range calls {
		select {
		case got := <-c:
			require.FailNow(t, "it did not wait", "%d %s", got.status, got.body)
		default:
		}
	}
}

// draining waits until as many drains have begun.
func (r *rig) draining() {
	r.Helper()
	require.Eventually(r, func() bool { _, drains := r.done(); return drains == 1 }, patience, time.Millisecond)
}

// row D1
func TestDrainAnswersWhenNoExchangeIsLeft(t *testing.T) {
	r := newRig(t, listening(t), nil)
	host := "Host: " + r.host() + "\r\n"
	first := r.send("GET /-/drain HTTP/1.1\r\nUser-Agent: kube-lifecycle/1.34\r\n" + host + "\r\n")
	r.draining()
	second := r.send("POST /-/drain?settle=1ms HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n")
	require.Equal(t, 200, r.call("GET /livez").status, "the listener goes on meanwhile")
	requireWaiting(t, first, second)
	close(r.running)
	for _, call := range []<-chan answer{first, second} {
		got := <-call
		require.Equal(t, 200, got.status)
		require.JSONEq(t, `{"status":"drained"}`, got.body)
	}
	require.JSONEq(t, `{"status":"drained"}`, r.call("GET /-/drain").body)
	_, drains := r.done()
	require.Equal(t, 1, drains)
}

func TestDrainAnswersWhenItsTimeIsOver(t *testing.T) {
	r := newRig(t, listening(t), nil)
	r.wait = time.Millisecond
	require.JSONEq(t, `{"status":"draining"}`, r.call("GET /-/drain").body)
	require.JSONEq(t, `{"status":"draining"}`, r.call("POST /-/drain?settle=1h").body, "the time began with the first call")
	_, drains := r.done()
	require.Equal(t, 1, drains)
}

func TestDrainLetsOthersHearOfItFirst(t *testing.T) {
	left := make(chan struct{})
	r := newRig(t, listening(t), nil, func(o *Options) { o.Leaving = func() { close(left) } })
	close(r.running)
	slow := r.send("GET /-/drain?settle=1h HTTP/1.1\r\nHost: " + r.host() + "\r\n\r\n")
	<-left
	require.Eventually(t, func() bool { return r.call("GET /readyz").status == 503 }, patience, time.Millisecond)
	_, drains := r.done()
	require.Zero(t, drains, "requests are still taken")
	requireWaiting(t, slow)
	require.JSONEq(t, `{"status":"drained"}`, r.call("GET /-/drain?settle=1ms").body)
	_, drains = r.done()
	require.Equal(t, 1, drains)
	requireWaiting(t, slow)
	require.NoError(t, r.srv.Close())
	require.JSONEq(t, `{"status":"draining"}`, (<-slow).body, "a listener that closes lets nobody wait")
}

func TestDrainThatSettlesTooLongBeginsAtTheEndOfItsTime(t *testing.T) {
	r := newRig(t, listening(t), nil)
	r.wait = time.Millisecond
	require.JSONEq(t, `{"status":"draining"}`, r.call("GET /-/drain?settle=1h").body)
	_, drains := r.done()
	require.Equal(t, 1, drains)
}

func TestTimeToSettleMustBeADuration(t *testing.T) {
	for _, bad := range []string{"-1s", "soon", "5"} {
		r := newRig(t, listening(t), nil)
		got := r.call("GET /-/drain?settle=" + bad)
		require.Equal(t, 400, got.status)
		require.Equal(t, "invalid_value", got.code(t))
		require.Equal(t, 200, r.call("GET /readyz").status)
		_, drains := r.done()
		require.Zero(t, drains)
	}
}

func TestDrainWithoutExchangesToAskFor(t *testing.T) {
	r := newRig(t, listening(t), nil, func(o *Options) { o.Drained, o.DrainWait = nil, nil })
	require.JSONEq(t, `{"status":"drained"}`, r.call("POST /-/drain").body)
}
