package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// address is where a provider is, and through which proxy it is reached.
type address struct {
	secure bool
	host   string // as it stands in the Host field
	name   string // host name alone, for the certificate
	dial   string // host:port
	prefix string // path of the base URL without a final slash
	proxy  *proxy // nil for a direct connection
}

// parseAddress reads a base URL. Its errors do not quote it: it may hold a secret.
func parseAddress(base string) (address, error) {
	u, err := url.Parse(base)
	if err != nil {
		return address{}, errors.New("base_url is not a URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return address{}, errors.New("base_url must begin with http:// or https://")
	case u.Hostname() == "":
		return address{}, errors.New("base_url names no host")
	case u.User != nil:
		return address{}, errors.New("base_url must not hold credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return address{}, errors.New("base_url must not have a query or a fragment")
	}
	a := address{
		secure: u.Scheme == "https",
		host:   u.Host,
		name:   u.Hostname(),
		dial:   withPort(u),
		prefix: strings.TrimRight(u.EscapedPath(), "/"),
	}
	if bare, _, zoned := strings.Cut(a.name, "%"); zoned {
		// A zone has a meaning on this machine only (RFC 6874, section 4).
		a.host = strings.Replace(a.host, a.name, bare, 1)
		a.name = bare
	}
	for i := range len(a.host) {
		if a.host[i] <= ' ' || a.host[i] >= 0x7f {
			return address{}, errors.New("the host of base_url must be written in ASCII")
		}
	}
	a.proxy, err = proxyFor(u)
	return a, err
}

func withPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// proxy is a forward proxy.
type proxy struct {
	secure bool
	name   string
	dial   string
	auth   string // value of Proxy-Authorization, empty without credentials
}

// proxyFor returns the proxy that the environment names for u: HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY, also in small letters.
func proxyFor(u *url.URL) (*proxy, error) {
	via, err := httpproxy.FromEnvironment().ProxyFunc()(u)
	if err != nil {
		return nil, errors.New("the environment names a proxy that is not a URL")
	}
	if via == nil {
		return nil, nil
	}
	if via.Scheme != "http" && via.Scheme != "https" {
		return nil, fmt.Errorf("the environment names a proxy of scheme %q: only http and https are supported", via.Scheme)
	}
	p := &proxy{secure: via.Scheme == "https", name: via.Hostname(), dial: withPort(via)}
	if via.User != nil {
		password, _ := via.User.Password()
		credentials := via.User.Username() + ":" + password
		p.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	return p, nil
}

// target is what the first line of a request to path says.
func (a *address) target(path string) string {
	if a.proxy != nil && !a.secure {
		return "http://" + a.host + a.prefix + path
	}
	return a.prefix + path
}
