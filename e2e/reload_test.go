//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// reloadable is a sluice whose configuration changes while it runs. The key of its provider
// tells with which one a request was made.
type reloadable struct {
	*sluice
	file, listen, adminAddress string
	upstream                   *fakeprovider.Provider
}

func startReloadable(tb testing.TB, script fakeprovider.Script) *reloadable {
	tb.Helper()
	r := &reloadable{listen: freeAddress(tb), adminAddress: freeAddress(tb), upstream: fakeprovider.New(tb)}
	r.upstream.Handle(script)
	r.file = writeConfig(tb, r.settings(providerKeyOf(0)), r.adminAddress)
	r.sluice = launch(tb, launching{args: []string{"--config", r.file}, api: "http://" + r.listen, admin: "http://" + r.adminAddress})
	return r
}

// providerKeyOf is the provider's key in the n-th configuration.
func providerKeyOf(n int) string { return fmt.Sprintf("sk-provider-generation-%d", n) }

func (r *reloadable) settings(providerKey string) settings {
	return settings{listen: r.listen, providers: fmt.Sprintf(`providers:
  - {name: fake, dialect: openai, base_url: %q, api_key: %q, continuous_usage: false}
models:
  - name: fast
    targets: [{provider: fake, model: fake-model}]
`, r.upstream.URL(), providerKey)}
}

// text of the configuration with that key.
func (r *reloadable) text(providerKey string) string {
	r.tb.Helper()
	text, err := os.ReadFile(writeConfig(r.tb, r.settings(providerKey), r.adminAddress))
	require.NoError(r.tb, err)
	return string(text)
}

// write puts a configuration in the place of the one before.
func (r *reloadable) write(text string) {
	r.tb.Helper()
	require.NoError(r.tb, os.WriteFile(r.file+".next", []byte(text), 0o600))
	require.NoError(r.tb, os.Rename(r.file+".next", r.file))
}

// reload asks for a reload on the admin listener.
func (s *sluice) reload() (status int, answer string) {
	s.tb.Helper()
	response, err := http.Post(s.admin+"/-/reload", "", nil)
	require.NoError(s.tb, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.tb, err)
	return response.StatusCode, string(body)
}

func (s *sluice) hangUp() {
	s.tb.Helper()
	require.NoError(s.tb, s.cmd.Process.Signal(syscall.SIGHUP))
}

// keyFor is the key with which the provider was asked by the request with that id.
func (r *reloadable) keyFor(id string) string {
	r.tb.Helper()
	for _, e := range r.upstream.Exchanges() {
		if e.Request.Get("X-Request-Id") == id {
			return strings.TrimPrefix(e.Request.Get("Authorization"), "Bearer ")
		}
	}
	require.Fail(r.tb, "the provider was not asked", id)
	return ""
}

// load is clients that ask for one stream after the other until stop.
type load struct {
	stop  func()
	asked atomic.Int64
	mu    sync.Mutex
	wrong []string
}

func (s *sluice) load(clients int) *load {
	return s.loadWith(clients, &http.Transport{MaxIdleConnsPerHost: clients}, func(string) bool { return false })
}

// loadWith is load over connections of that kind. A request is made again if again says so
// of what was wrong.
func (s *sluice) loadWith(clients int, transport *http.Transport, again func(wrong string) bool) *load {
	l := &load{}
	stopped := make(chan struct{})
	var all sync.WaitGroup
	client := &http.Client{Transport: transport, Timeout: clientPatience}
	for i := range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stopped:
					return
				default:
				}
				id := fmt.Sprintf("load-%d-%d", i, n)
				wrong := s.askOnce(client, id)
				for tries := 0; tries < 10 && wrong != "" && again(wrong); tries++ {
					wrong = s.askOnce(client, id)
				}
				l.note(wrong)
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		close(stopped)
		all.Wait()
		client.CloseIdleConnections()
	})
	s.tb.Cleanup(l.stop)
	return l
}

func (l *load) note(wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wrong != "" {
		l.wrong = append(l.wrong, wrong)
	}
	l.asked.Add(1)
}

// askOnce asks for a stream and tells what is wrong about the answer.
func (s *sluice) askOnce(client *http.Client, id string) string {
	request, err := http.NewRequest(http.MethodPost, s.api+"/v1/chat/completions",
		strings.NewReader(fmt.Sprintf(`{"model":"fast","stream":true,"messages":[{"role":"user","content":%q}]}`, prompt)))
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+clientKey)
	request.Header.Set("X-Request-Id", id)
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		return fmt.Sprintf("%s: %d, %v: %s", id, response.StatusCode, err, body)
	}
	return ""
}

// requireFlow waits for more requests of the load, and for none that went wrong.
func (l *load) requireFlow(tb testing.TB, more int64) {
	tb.Helper()
	want := l.asked.Load() + more
	require.Eventually(tb, func() bool { return l.asked.Load() >= want }, clientPatience, pollEvery)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(tb, l.wrong)
}

const brokenProviderKey = "sk-provider-broken"

// brokenConfigurations are made from a good one. Each cannot be used for another reason.
var brokenConfigurations = []func(good string) string{
	func(good string) string { return good + "listen: [\n" },
	func(good string) string { return good + "\tlog: {}\n" },
	func(good string) string { return good + "no_such_key: 1\n" },
	func(good string) string { return strings.Replace(good, "provider: fake", "provider: nobody", 1) },
	func(good string) string { return strings.Replace(good, "dialect: openai", "dialect: esperanto", 1) },
	func(good string) string { return strings.Replace(good, `base_url: "http`, `base_url: "ftp`, 1) },
	func(good string) string { return strings.Replace(good, "sha256: \"", "sha256: \"zz", 1) },
	func(good string) string { return good + "timeouts: {drain: soon}\n" },
	func(good string) string { return strings.Replace(good, brokenProviderKey, "${NO_SUCH_VARIABLE}", 1) },
	func(good string) string { return good[:strings.Index(good, brokenProviderKey)] },
	func(good string) string { return "\x00\xff" + good },
}

// row D9
func TestBrokenConfigurationsKeepTheOldOneUnderLoad(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, fakeprovider.DefaultScript)
	l := r.load(4)
	l.requireFlow(t, 20)
	for n := range 100 {
		r.write(brokenConfigurations[n%len(brokenConfigurations)](r.text(brokenProviderKey)))
		if n < len(brokenConfigurations) {
			_, code := tool(t, sluiceBinary, "check", r.file)
			require.Equal(t, 1, code, "configuration %d", n)
		}
		if n%2 == 0 {
			r.hangUp()
		}
		status, answer := r.reload()
		require.NotEqual(t, http.StatusOK, status, "configuration %d", n)
		require.NotContains(t, answer, brokenProviderKey)
		l.requireFlow(t, 5)
	}
	require.False(t, r.hasExited())

	r.write(r.text(providerKeyOf(1)))
	status, answer := r.reload()
	require.Equal(t, http.StatusOK, status, answer)
	o := r.ask("after-all", true)
	o.requireWhole(t)
	require.Equal(t, providerKeyOf(1), r.keyFor("after-all"))
	l.requireFlow(t, 20)
	l.stop()
	for _, e := range r.upstream.Exchanges() {
		require.Contains(t, []string{"Bearer " + providerKeyOf(0), "Bearer " + providerKeyOf(1)}, e.Request.Get("Authorization"))
	}
	require.NotContains(t, r.output.String(), brokenProviderKey)
}

func TestWhatNeedsARestartIsRefusedByItsName(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, fakeprovider.DefaultScript)
	r.write(strings.Replace(r.text(providerKeyOf(1)), r.listen, freeAddress(t), 1) + "records: 7\n")
	status, answer := r.reload()
	require.NotEqual(t, http.StatusOK, status)
	require.Contains(t, answer, "listen")
	r.ask("as-before", true).requireWhole(t)
	require.Equal(t, providerKeyOf(0), r.keyFor("as-before"), "all or nothing")
}

// held streams the beginning of an answer and waits for goOn with the rest.
func held(goOn <-chan struct{}) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		payloads := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
		e.StreamHead()
		e.Event(payloads[0])
		e.Event(payloads[1])
		if strings.HasPrefix(e.Request.Get("X-Request-Id"), "held-") {
			select {
			case <-goOn:
			case <-e.Gone():
				return
			}
		}
		e.Play(payloads[2:])
	}
}

// rows D9, D10
func TestReloadsWhileStreamsRun(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	r := startReloadable(t, held(goOn))
	l := r.load(4)
	l.requireFlow(t, 20)
	goroutines := r.metric("go_goroutines")

	var running []*open
	const reloads = 60
	for n := 1; n <= reloads; n++ {
		if n%10 == 1 {
			running = append(running, r.ask(fmt.Sprintf("held-%d", n), true))
		}
		r.write(r.text(providerKeyOf(n)))
		status, answer := r.reload()
		require.Equal(t, http.StatusOK, status, answer)
		// Whoever comes after the answer gets the new configuration.
		id := fmt.Sprintf("next-%d", n)
		r.ask(id, true).requireWhole(t)
		require.Equal(t, providerKeyOf(n), r.keyFor(id))
		l.requireFlow(t, 1)
	}
	close(goOn)
	for i, o := range running {
		o.requireWhole(t)
		require.Equal(t, providerKeyOf(10*i), r.keyFor(o.id), "a stream keeps the configuration it began with")
	}
	l.requireFlow(t, 20)
	l.stop()
	require.Eventually(t, func() bool { return r.upstream.OpenConns() == 0 }, clientPatience, pollEvery,
		"connections of former configurations stay open")
	require.Eventually(t, func() bool { return r.metric("go_goroutines") <= goroutines }, clientPatience, pollEvery,
		"goroutines of former configurations stay: %v of %v", r.metric("go_goroutines"), goroutines)
	require.EqualValues(t, reloads, r.metric("sluice_config_reloads_total", `result="ok"`))
}

// A signal is enough: what it asked for is done a moment later.
// row D10
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, fakeprovider.DefaultScript)
	for n := 1; n <= 5; n++ {
		r.write(r.text(providerKeyOf(n)))
		r.hangUp()
		tries := 0
		require.Eventually(t, func() bool {
			tries++
			id := fmt.Sprintf("try-%d-%d", n, tries)
			return r.askOnce(http.DefaultClient, id) == "" && r.keyFor(id) == providerKeyOf(n)
		}, patience, pollEvery)
	}
}

// copyFile puts a file in the place of another at once.
func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	text, err := os.ReadFile(from)
	require.NoError(tb, err)
	require.NoError(tb, os.WriteFile(to+".next", text, 0o600))
	require.NoError(tb, os.Rename(to+".next", to))
}

// servedCertificate is the one that a new connection gets.
func servedCertificate(tb testing.TB, address string) []byte {
	tb.Helper()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{InsecureSkipVerify: true}} // any will do here
	conn, err := dialer.DialContext(tb.Context(), "tcp", address)
	require.NoError(tb, err)
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
}

// Certificates are renewed by others, who write files. Streams do not notice.
// row D10
func TestCertificatesChangeWithTheirFiles(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	upstream := fakeprovider.New(t)
	upstream.Handle(held(goOn))
	folder, first, second := t.TempDir(), makeCertificates(t), makeCertificates(t)
	cert, key := filepath.Join(folder, "tls.pem"), filepath.Join(folder, "tls.key")
	copyFile(t, first.cert, cert)
	copyFile(t, first.key, key)
	s := startWith(t, settings{upstream: upstream.URL(), extra: "tls: {cert_file: " + cert + ", key_file: " + key + "}"})
	address := strings.TrimPrefix(s.api, "http://")
	s.api, s.caFile = "https://"+address, first.authority
	before := servedCertificate(t, address)

	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: s.trust()}
	ended := make(chan string, 1)
	go func() { ended <- s.askOnce(&http.Client{Transport: transport}, "held-by-tls") }()
	upstream.WaitExchange(1)

	require.NoError(t, os.WriteFile(cert, []byte("no certificate"), 0o600))
	status, _ := s.reload()
	require.Equal(t, before, servedCertificate(t, address), "after a reload with status %d", status)

	copyFile(t, second.key, key)
	copyFile(t, second.cert, cert)
	require.Eventually(t, func() bool { return string(servedCertificate(t, address)) != string(before) }, clientPatience, 100*time.Millisecond,
		"the new certificate is not served")
	close(goOn)
	require.Empty(t, <-ended)
	s.caFile = second.authority
	out, code := curl(t, s, "--cacert", s.caFile)
	require.Zero(t, code, out)
}
