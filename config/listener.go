package config

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// address is a parsed listener address.
type address struct {
	// socket is the path of a unix socket; empty for TCP.
	socket string
	host   string
	port   int
}

var (
	errListenForm   = errors.New("is not an address; write host:port, :port or unix:/path/to.sock")
	errListenPort   = errors.New("has a port that is not between 0 and 65535")
	errListenSocket = errors.New("names no socket; write unix:/path/to.sock")
	errListenScheme = errors.New("is a URL; write host:port without a scheme")
	errListenHost   = errors.New("has a host with a character that no host name has")
)

// parseAddress reads a listener address. Its errors complete a sentence that
// begins with the value.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
			return address{}, errListenSocket
		}
		return address{socket: path}, nil
	}
	if strings.Contains(s, "://") {
		return address{}, errListenScheme
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, errListenForm
	}
	if strings.ContainsAny(host, " /\t\r\n@\"'") {
		return address{}, errListenHost
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return address{}, errListenPort
	}
	return address{host: host, port: int(n)}, nil
}

// clashes reports whether two listeners cannot both be opened: the same socket,
// or the same port on hosts that overlap. Port 0 is a new port every time.
func (a address) clashes(b address) bool {
	if a.socket != "" || b.socket != "" {
		return a.socket == b.socket
	}
	if a.port != b.port || a.port == 0 {
		return false
	}
	return a.everyHost() || b.everyHost() || strings.EqualFold(a.host, b.host) || a.loopback() && b.loopback()
}

func (a address) everyHost() bool {
	ip, err := netip.ParseAddr(a.host)
	return a.host == "" || err == nil && ip.IsUnspecified()
}

func (a address) loopback() bool { return isLoopback(a.host) }

// isLoopback reports whether host is this machine, going by its name alone.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isPrivate reports whether host is this machine, or an address of a private network.
func isPrivate(host string) bool {
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return isLoopback(host) || err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}

func (k *checker) listeners() {
	api, err := parseAddress(k.Listen)
	if err != nil {
		k.add("listen", "%s %v", k.show("listen", k.Listen), err)
	}
	if !k.Admin.Enabled() {
		return
	}
	admin, adminErr := parseAddress(k.Admin.Listen)
	if adminErr != nil {
		k.add("admin.listen", "%s %v", k.show("admin.listen", k.Admin.Listen), adminErr)
	}
	if err == nil && adminErr == nil && api.clashes(admin) {
		// The line of listen is the better one when the admin address is the default.
		path := "admin.listen"
		if _, written := k.positions[path]; !written {
			path = "listen"
		}
		k.add(path, "the API listener (%s) and the admin listener (%s) need different addresses",
			k.show("listen", k.Listen), k.show("admin.listen", k.Admin.Listen))
	}
}

func (k *checker) tls() {
	if k.TLS == nil {
		return
	}
	complete := true
	for _, file := range []struct{ path, name string }{
		{"tls.cert_file", k.TLS.CertFile}, {"tls.key_file", k.TLS.KeyFile},
	} {
		if file.name == "" {
			complete = false
			continue
		}
		if why := unreadable(file.name); why != "" {
			complete = false
			k.add(file.path, "the file %s cannot be read: %s", k.show(file.path, file.name), why)
		}
	}
	if !complete {
		return
	}
	if _, err := tls.LoadX509KeyPair(k.TLS.CertFile, k.TLS.KeyFile); err != nil {
		k.add("tls", "cert_file and key_file are not a certificate and its private key in PEM form")
	}
}
