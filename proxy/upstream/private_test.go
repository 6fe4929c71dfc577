package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// row C16
func TestAddressesThatAreNotPublicAreKnownInEveryForm(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.1", "100.127.255.255",
		"127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
		"192.0.2.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:0:4136:e378::1", "2001:2::1", "2001:db8::1", "3fff::1",
		"2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:c0a8:101::1", "5f00::1",
		"fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		require.False(t, isPublic(netip.MustParseAddr(s)), s)
		require.Error(t, denyPrivate(netip.AddrPortFrom(netip.MustParseAddr(s), 443).String()), s)
	}
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.1.1",
		"198.17.255.255", "198.20.0.0", "223.255.255.255",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1",
	} {
		require.True(t, isPublic(netip.MustParseAddr(s)), s)
		require.NoError(t, denyPrivate(netip.AddrPortFrom(netip.MustParseAddr(s), 443).String()), s)
	}
	require.False(t, isPublic(netip.Addr{}))
	for _, s := range []string{"", "no address", "8.8.8.8"} {
		require.Error(t, denyPrivate(s), s)
	}
}

// resolver answers every question for a name with the given addresses.
func resolver(t *testing.T, addrs ...string) *net.Resolver {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		serving.Go(func() {
			defer func() { _ = ours.Close() }()
			for answerQuestion(ours, addrs) == nil {
			}
		})
		return theirs, nil
	}}
}

// answerQuestion serves DNS over a stream (RFC 7766).
func answerQuestion(c net.Conn, addrs []string) error {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	packet := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(c, packet); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	for _, s := range addrs {
		ip := netip.MustParseAddr(s)
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch {
		case q.Type == dnsmessage.TypeA && ip.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	packet, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = c.Write(append([]byte{byte(len(packet) >> 8), byte(len(packet))}, packet...))
	return err
}

// recorder notes the addresses that a pool is about to connect to, and lets none of
// them happen.
type recorder struct {
	mu    sync.Mutex
	addrs []string
}

func (r *recorder) control(_, address string, _ syscall.RawConn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs = append(r.addrs, address)
	return errors.New("only recorded")
}

// row C16
func TestOnlyPublicAddressesOfANameAreDialled(t *testing.T) {
	f := func(name string, wanted []string, addrs ...string) {
		t.Run(name, func(t *testing.T) {
			var asked recorder
			pool := openPool(t, Options{
				BaseURL: "http://provider.invalid/v1", DenyPrivate: true,
				Resolver: resolver(t, addrs...), Control: asked.control,
			})
			_, err := pool.Dial(context.Background())
			failed := failure(t, CodeConnectFailed, err)
			require.NotContains(t, failed.Error(), "provider.invalid")
			require.ElementsMatch(t, wanted, asked.addrs)
			if wanted == nil {
				require.ErrorIs(t, err, errPrivate)
			}
		})
	}
	f("private", nil, "10.0.0.1")
	f("metadata service", nil, "169.254.169.254")
	f("several, none public", nil, "127.0.0.1", "192.168.0.1", "::1", "fd00::1", "64:ff9b::a00:1")
	f("public", []string{"8.8.8.8:80"}, "8.8.8.8")
	f("public behind private", []string{"8.8.8.8:80", "[2606:4700::1111]:80"}, "127.0.0.1", "8.8.8.8", "::1", "2606:4700::1111")
}

// row C16
func TestPrivateListenerIsNeverReached(t *testing.T) {
	var accepted atomic.Int64
	p := serve(t, func(net.Conn) { accepted.Add(1) })
	_, port, err := net.SplitHostPort(p.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		_, err := openPool(t, Options{BaseURL: "http://" + host + ":" + port, DenyPrivate: true}).Dial(context.Background())
		failed := failure(t, CodeConnectFailed, err)
		require.ErrorIs(t, err, errPrivate, host)
		require.NotContains(t, failed.Error(), port)
	}
	dial(t, openPool(t, Options{BaseURL: p.url()})).Close()
	require.Eventually(t, func() bool { return accepted.Load() == 1 }, patience, 1e6, "without the option it is")
}

// row C16
func TestOwnAddressOfAProxyMayBePrivate(t *testing.T) {
	p := serve(t, answers(okResponse))
	environment(t, "http://"+p.Addr().String(), "", "")
	c := dial(t, openPool(t, Options{BaseURL: "http://provider.invalid", DenyPrivate: true}))
	ask(t, c)
	c.Close()
	for _, host := range []string{"10.0.0.1", "[fd00::1]", "169.254.169.254"} {
		pool := openPool(t, Options{BaseURL: "http://" + host, DenyPrivate: true})
		require.NotNil(t, pool.address.proxy)
		_, err := pool.Dial(context.Background())
		require.ErrorIs(t, err, errPrivate, "the proxy is not asked for it")
	}
}
