package downstream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// certificateLook is how long handshakes use a certificate before its files are
	// looked at again.
	certificateLook = time.Second
	// timestampGrain is within what a file may change twice and keep its
	// modification time.
	timestampGrain = 2 * time.Second
)

// Certificate is a TLS certificate that follows its files: handshakes after a change
// get the new one, and connections keep what they began with. It has no goroutine
// and is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	every             time.Duration

	current atomic.Pointer[tls.Certificate]

	mu     sync.Mutex
	looked time.Time
	loaded stamp  // what the files looked like before they were last read
	told   string // the failure that was logged last
}

// stamp tells one state of the two files from another.
type stamp struct {
	cert, key os.FileInfo
	// fresh is true when a file was so new that another change might look alike.
	fresh bool
}

// NewCertificate loads a pair of PEM files. Failures to load it again are written to
// log, each once; nil stands for slog.Default.
func NewCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	if log == nil {
		log = slog.Default()
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, every: certificateLook}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Get returns the certificate; it is meant for tls.Config.GetCertificate. At most
// once a second it looks whether the files changed, through symbolic links too. A
// pair that cannot be loaded, because only half of it is written for one, leaves the
// certificate as it is until the files change again. Get never fails.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // others need not wait for whoever looks
		defer c.mu.Unlock()
		if time.Since(c.looked) >= c.every {
			c.look()
		}
	}
	return c.current.Load(), nil
}

// Reload loads the files now, whether they changed or not. When that fails the
// certificate stays as it is.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.stat()
	if err == nil {
		err = c.load(now)
	}
	if err != nil {
		return fmt.Errorf("loading the certificate: %w", err)
	}
	return nil
}

// look loads the files if they changed. The caller holds mu.
func (c *Certificate) look() {
	c.looked = time.Now()
	now, err := c.stat()
	if err == nil {
		if c.loaded.same(now) {
			return
		}
		err = c.load(now)
	}
	if err != nil && err.Error() != c.told {
		c.told = err.Error()
		c.log.Warn("the changed certificate cannot be loaded, the old one stays", "error", err)
	}
}

func (c *Certificate) load(now stamp) error {
	c.looked, c.loaded = time.Now(), now
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.told = ""
	old := c.current.Swap(&pair)
	if old != nil && !bytes.Equal(old.Certificate[0], pair.Certificate[0]) {
		c.log.Info("the certificate was changed", "valid_until", pair.Leaf.NotAfter)
	}
	return nil
}

func (c *Certificate) stat() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	key, keyErr := os.Stat(c.keyFile)
	if err := errors.Join(err, keyErr); err != nil {
		return stamp{}, err
	}
	old := time.Now().Add(-timestampGrain)
	return stamp{cert: cert, key: key, fresh: cert.ModTime().After(old) || key.ModTime().After(old)}, nil
}

func (s stamp) same(now stamp) bool {
	return !s.fresh && s.cert != nil && sameFile(s.cert, now.cert) && sameFile(s.key, now.key)
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
