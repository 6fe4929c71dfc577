package downstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}
}

func (p pair) write(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.crt"), p.cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.key"), p.key, 0o600))
}

// openCertificate looks at its files at every handshake.
func openCertificate(t *testing.T, dir string, log *slog.Logger) *Certificate {
	t.Helper()
	c, err := NewCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), log)
	require.NoError(t, err)
	c.every = 0
	return c
}

func withCertificate(c *Certificate) option {
	return withConfig(func(cfg *Config) {
		cfg.TLS = &tls.Config{GetCertificate: c.Get, MinVersion: tls.VersionTLS12}
	})
}

func (c *client) certificateName() string {
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestHandshakesAfterAChangeOfTheFilesGetTheNewCertificate(t *testing.T) {
	dir := t.TempDir()
	newPair(t, "first").write(t, dir)
	cert := openCertificate(t, dir, slog.New(slog.DiscardHandler))
	r := newRig(t, withCertificate(cert))

	running := r.dialTLS(t)
	require.Equal(t, "first", running.certificateName())
	running.send(get("/a"))
	running.receive()

	newPair(t, "second").write(t, dir)
	fresh := r.dialTLS(t)
	require.Equal(t, "second", fresh.certificateName())
	for _, c := range []*client{running, fresh} {
		c.send(get("/b"))
		_, body := c.receive()
		require.Equal(t, "/b ", body)
	}
	require.Equal(t, "first", running.certificateName())
}

// A Kubernetes secret is a directory of links into a directory that is a link
// itself, and that one is swapped.
func TestCertificateBehindSwappedLinksIsReloaded(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"first", "second"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		newPair(t, name).write(t, filepath.Join(dir, name))
		old := time.Now().Add(-time.Hour) // the time tells nothing
		require.NoError(t, os.Chtimes(filepath.Join(dir, name, "tls.crt"), old, old))
		require.NoError(t, os.Chtimes(filepath.Join(dir, name, "tls.key"), old, old))
	}
	require.NoError(t, os.Symlink("first", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink(filepath.Join("..data", "tls.crt"), filepath.Join(dir, "tls.crt")))
	require.NoError(t, os.Symlink(filepath.Join("..data", "tls.key"), filepath.Join(dir, "tls.key")))
	r := newRig(t, withCertificate(openCertificate(t, dir, slog.New(slog.DiscardHandler))))
	require.Equal(t, "first", r.dialTLS(t).certificateName())

	require.NoError(t, os.Symlink("second", filepath.Join(dir, "..swap")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..swap"), filepath.Join(dir, "..data")))
	require.Equal(t, "second", r.dialTLS(t).certificateName())
}

func TestHalfWrittenCertificateKeepsTheOldOneAndIsLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	first, second := newPair(t, "first"), newPair(t, "second")
	first.write(t, dir)
	var log lockedBuffer
	cert := openCertificate(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
	r := newRig(t, withCertificate(cert))

	spoil := map[string]func(){
		"the certificate without its key": func() {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.crt"), second.cert, 0o600))
		},
		"half a certificate": func() {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.crt"), second.cert[:40], 0o600))
		},
		"no certificate": func() { require.NoError(t, os.Remove(filepath.Join(dir, "tls.crt"))) },
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			first.write(t, dir)
			require.NoError(t, cert.Reload())
			log.Reset()
			spoil()
			for range 3 {
				require.Equal(t, "first", r.dialTLS(t).certificateName())
			}
			require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			require.NotContains(t, log.String(), "PRIVATE KEY")
			require.ErrorContains(t, cert.Reload(), "loading the certificate")

			second.write(t, dir)
			require.Equal(t, "second", r.dialTLS(t).certificateName())
			require.Contains(t, log.String(), "was changed")
		})
	}
}

func TestFilesOfACertificateAreLookedAtNowAndThenOnly(t *testing.T) {
	dir := t.TempDir()
	newPair(t, "first").write(t, dir)
	cert := openCertificate(t, dir, slog.New(slog.DiscardHandler))
	cert.every = time.Hour
	name := func() string {
		c, err := cert.Get(nil)
		require.NoError(t, err)
		return c.Leaf.Subject.CommonName
	}
	newPair(t, "second").write(t, dir)
	require.Equal(t, "first", name())
	require.NoError(t, cert.Reload(), "on demand it is loaded at once")
	require.Equal(t, "second", name())
}

// Two changes within the grain of the file system's clock leave a file of the same
// size and time behind.
func TestChangeThatTheTimeOfTheFileDoesNotShowIsNoticed(t *testing.T) {
	dir := t.TempDir()
	newPair(t, "first").write(t, dir)
	cert := openCertificate(t, dir, slog.New(slog.DiscardHandler))
	next := newPair(t, "other")
	same := cert.loaded
	next.write(t, dir)
	for _, file := range []string{"tls.crt", "tls.key"} {
		require.NoError(t, os.Chtimes(filepath.Join(dir, file), same.cert.ModTime(), same.cert.ModTime()))
	}
	now, err := cert.Get(nil)
	require.NoError(t, err)
	require.Equal(t, "other", now.Leaf.Subject.CommonName)
}

func TestCertificateThatIsMissingOrBadIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	_, err := NewCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	p := newPair(t, "a")
	p.key = newPair(t, "b").key
	p.write(t, dir)
	_, err = NewCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), nil)
	require.Error(t, err)
}

func TestCertificateChangesUnderManyHandshakes(t *testing.T) {
	dir := t.TempDir()
	newPair(t, "0").write(t, dir)
	cert := openCertificate(t, dir, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if c, err := cert.Get(nil); err != nil || c == nil {
					t.Error("no certificate")
					return
				}
			}
		})
	}
	for range 20 {
		newPair(t, "n").write(t, dir)
		_ = cert.Reload() // a reader may have met half of it, never this call's result
	}
	close(done)
	readers.Wait()
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
