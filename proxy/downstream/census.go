package downstream

import (
	"net"
	"net/netip"
	"sync"
)

// Reasons for which a connection is refused, as Config.OnRefusedConn gets them.
const (
	refusedConns      = "connections"
	refusedConnsPerIP = "connections_per_ip"
)

const (
	// keptDescriptors are left to listeners, logs, databases and whatever else a
	// process has open beside its connections.
	keptDescriptors = 64
	// minConns are allowed however few descriptors there are.
	minConns = 64
)

// connsForDescriptors is how many clients a process with n descriptors may have:
// each may need a second one, for its upstream. An unknown n, 0, limits nothing.
func connsForDescriptors(n int) int {
	if n <= 0 {
		return -1
	}
	return max((n-keptDescriptors)/2, minConns)
}

// census counts the open connections, in all and by where they come from.
type census struct {
	mu    sync.Mutex
	total int
	byIP  map[netip.Addr]int
}

// enter counts a connection in, or says why there is no room for it. A limit below
// one limits nothing.
func (c *census) enter(from netip.Addr, limit, perIP int) (refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case limit > 0 && c.total >= limit:
		return refusedConns
	case !from.IsValid():
	case perIP > 0 && c.byIP[from] >= perIP:
		return refusedConnsPerIP
	default:
		c.byIP[from]++
	}
	c.total++
	return ""
}

// leave counts out a connection that entered.
func (c *census) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if !from.IsValid() {
		return
	}
	if c.byIP[from]--; c.byIP[from] == 0 {
		delete(c.byIP, from)
	}
}

// ipv6Site is the part of an IPv6 address that a network gives to one customer.
const ipv6Site = 64

// origin is what connections of one client have in common: its IPv4 address, or
// the network of its IPv6 address. A client on a unix socket has none.
func origin(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	site, _ := ip.Prefix(ipv6Site) // fails only for more bits than an address has
	return site.Addr()
}
