package fakeprovider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority that lives as long as one test.
type Authority struct {
	tb   testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

// CA makes an authority and writes its certificate into a file of the test's
// temporary folder.
func CA(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, key: newKey(tb)}
	template := a.template("sluice test authority", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	a.cert = a.sign(template, template, a.key, a.key)
	a.file = filepath.Join(tb.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(a.file, block, 0o600); err != nil {
		tb.Fatalf("writing the test authority: %v", err)
	}
	return a
}

// PEMFile is the path of the authority's certificate.
func (a *Authority) PEMFile() string { return a.file }

// Pool holds the authority's certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Good is valid for 127.0.0.1, ::1, localhost and the further hosts.
func (a *Authority) Good(hosts ...string) tls.Certificate {
	return a.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), append(hosts, "127.0.0.1", "::1", "localhost"))
}

// Expired was valid for the same hosts until an hour ago.
func (a *Authority) Expired() tls.Certificate {
	return a.issue(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour), []string{"127.0.0.1", "localhost"})
}

// NotYetValid will be valid for the same hosts in an hour.
func (a *Authority) NotYetValid() tls.Certificate {
	return a.issue(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour), []string{"127.0.0.1", "localhost"})
}

// WrongHost is valid, but for another host.
func (a *Authority) WrongHost() tls.Certificate {
	return a.issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), []string{"elsewhere.invalid"})
}

// SelfSigned is for the right hosts and vouched for by nobody.
func (a *Authority) SelfSigned() tls.Certificate {
	key := newKey(a.tb)
	template := a.template("self-signed", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	addHosts(template, []string{"127.0.0.1", "localhost"})
	cert := a.sign(template, template, key, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *Authority) issue(from, to time.Time, hosts []string) tls.Certificate {
	key := newKey(a.tb)
	template := a.template(hosts[0], from, to)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	addHosts(template, hosts)
	cert := a.sign(template, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *Authority) template(name string, from, to time.Time) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.tb.Fatalf("choosing a serial number: %v", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func (a *Authority) sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.tb.Fatalf("signing a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatalf("reading a certificate: %v", err)
	}
	return cert
}

func addHosts(cert *x509.Certificate, hosts []string) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, h)
		}
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("making a key: %v", err)
	}
	return key
}
