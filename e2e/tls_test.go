//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// certificates are files that openssl made: an authority, and a certificate of it for
// 127.0.0.1.
type certificates struct{ authority, cert, key string }

func makeCertificates(tb testing.TB) certificates {
	tb.Helper()
	folder := tb.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	openssl := func(args ...string) {
		out, code := tool(tb, "openssl", args...)
		require.Zero(tb, code, out)
	}
	require.NoError(tb, os.WriteFile(file("leaf.ext"), []byte("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n"), 0o600))
	openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
		"-subj", "/CN=sluice e2e authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
		"-keyout", file("ca.key"), "-out", file("ca.pem"))
	openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-subj", "/CN=127.0.0.1", "-keyout", file("leaf.key"), "-out", file("leaf.csr"))
	openssl("x509", "-req", "-in", file("leaf.csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial",
		"-days", "1", "-extfile", file("leaf.ext"), "-out", file("leaf.pem"))
	return certificates{authority: file("ca.pem"), cert: file("leaf.pem"), key: file("leaf.key")}
}

func startTLS(tb testing.TB, upstream *fakeprovider.Provider) *sluice {
	tb.Helper()
	made := makeCertificates(tb)
	s := startWith(tb, settings{
		upstream: upstream.URL(),
		extra:    "tls: {cert_file: " + made.cert + ", key_file: " + made.key + "}",
	})
	s.api = strings.Replace(s.api, "http://", "https://", 1)
	s.caFile = made.authority
	return s
}

// trusting makes each client accept the authority.
func trusting(s *sluice) []string {
	return []string{"SSL_CERT_FILE=" + s.caFile, "NODE_EXTRA_CA_CERTS=" + s.caFile}
}

func TestStreamThroughTLS(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream := fakeprovider.New(t)
		s := startTLS(t, upstream)
		got := k.run(s, "stream", trusting(s)...).seen()
		requireText(t, got)
		requireCompleted(t, s.record(got.RequestID))
	})
}

func TestClientHangsUpMidStreamThroughTLS(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream := fakeprovider.New(t)
		upstream.Handle(endless)
		s := startTLS(t, upstream)
		got := k.run(s, "abort", trusting(s)...).seen()
		require.Equal(t, "Rain and", got.Text)
		requireGone(t, upstream)
		requireClientGone(t, s, s.record(got.RequestID), "streaming")
	})
}

func TestCurlThroughTLS(t *testing.T) {
	t.Parallel()
	s := startTLS(t, fakeprovider.New(t))
	out, code := curl(t, s, "--cacert", s.caFile)
	require.Zero(t, code)
	require.True(t, strings.HasSuffix(out, "data: [DONE]\n\n"))
}
