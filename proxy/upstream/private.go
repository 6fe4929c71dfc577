package upstream

import (
	"net"
	"net/netip"
)

// notPublic are the networks that no provider on the Internet has an address in: the
// entries of the special-purpose registries (RFC 6890 and its successors) that are
// not globally reachable, and multicast.
var notPublic = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared by carriers' NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, with the metadata services of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast

	"::/96",          // unspecified, loopback, IPv4-compatible
	"64:ff9b:1::/48", // translation to IPv4 within one network
	"100::/64",       // discard
	"100:0:0:1::/64", // dummy
	"2001::/23",      // protocol assignments, Teredo, benchmarks
	"2001:db8::/32",  // documentation
	"3fff::/20",      // documentation
	"5f00::/16",      // segment routing
	"fc00::/7",       // unique local
	"fe80::/10",      // link-local
	"fec0::/10",      // site-local
	"ff00::/8",       // multicast
)

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: IPv4 in the last four bytes
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056: IPv4 behind the prefix
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// isPublic tells whether ip, or the IPv4 address inside it, may belong to a host on
// the Internet.
func isPublic(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap() // a prefix contains no address with a zone
	if !ip.IsValid() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	case sixTo4.Contains(ip):
		return isPublic(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return true
}

var errPrivate = &Error{Code: CodeConnectFailed, Op: "dialing", Detail: "the address is not a public one"}

// denyPrivate refuses a socket that is about to connect to an address, as
// net.Dialer.Control sees it, which is not public.
func denyPrivate(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(to.Addr()) {
		return errPrivate
	}
	return nil
}

// denyPrivateLiteral refuses a target that a proxy is to connect to, if its address
// stands in the URL.
func denyPrivateLiteral(target string) error {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return errPrivate
	}
	if ip, err := netip.ParseAddr(host); err == nil && !isPublic(ip) {
		return errPrivate
	}
	return nil
}
