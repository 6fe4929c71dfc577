//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// upstreams are the providers. They speak HTTP/1.1 over bare sockets, so that they can do
// anything wrong, and write down every call in the diary.
type upstreams struct {
	diary     *diary
	ctx       context.Context
	end       context.CancelFunc
	wg        sync.WaitGroup
	addresses map[string]string

	mu        sync.Mutex
	closed    bool
	listeners map[string]net.Listener
	conns     map[net.Conn]struct{}
	keys      map[string]time.Time // when a key of the configuration was first seen
	complaint []string             // requests that nobody can have sent
	running   int                  // calls
	calls     int
	faults    [faults]int
}

func startUpstreams(d *diary) (*upstreams, error) {
	u := &upstreams{
		diary: d, addresses: map[string]string{}, listeners: map[string]net.Listener{},
		conns: map[net.Conn]struct{}{}, keys: map[string]time.Time{},
	}
	u.ctx, u.end = context.WithCancel(context.Background())
	for _, name := range []string{providerA, providerB, providerFlap} {
		if err := u.listen(name, "127.0.0.1:0"); err != nil {
			u.stop()
			return nil, err
		}
	}
	return u, nil
}

// listen opens the listener of a provider.
func (u *upstreams) listen(name, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("opening the listener of an upstream: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return listener.Close()
	}
	u.listeners[name], u.addresses[name] = listener, listener.Addr().String()
	u.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				u.serve(name, conn)
			}
		}
	})
	return nil
}

// refuse closes the listener of a provider; its connections stay.
func (u *upstreams) refuse(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.listeners[name].Close()
}

func (u *upstreams) stop() {
	u.end()
	u.mu.Lock()
	u.closed = true
	for _, l := range u.listeners {
		_ = l.Close()
	}
	for c := range u.conns {
		_ = c.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

// serve serves a connection until one side closes it.
func (u *upstreams) serve(name string, conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		_ = conn.Close()
		return
	}
	u.conns[conn] = struct{}{}
	u.wg.Go(func() {
		defer func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			delete(u.conns, conn)
			_ = conn.Close()
		}()
		in := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(in)
			if err != nil || !u.one(name, conn.(*net.TCPConn), in, request) {
				return
			}
		}
	})
}

// one answers a request, and reports whether the connection may serve another.
func (u *upstreams) one(name string, conn *net.TCPConn, in *bufio.Reader, request *http.Request) bool {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return false // it did not come whole
	}
	if request.Method != http.MethodPost { // sluice looks whether there is a list of models
		_, err := io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return err == nil
	}
	s := u.note(request, string(body))
	if s == nil {
		return false
	}
	n, f := s.begin(name)
	u.began(f)
	defer u.ended()
	a := &answer{ctx: u.ctx, conn: conn, in: in, story: s, call: n, usage: strings.Contains(string(body), `"include_usage":true`)}
	return a.give(f)
}

// note finds whose request it is. Nothing of another one may be in it.
func (u *upstreams) note(request *http.Request, body string) *story {
	id := request.Header.Get("X-Request-Id")
	key := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")
	s := u.diary.find(id)
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, seen := u.keys[key]; !seen {
		u.keys[key] = time.Now()
	}
	named := anyNonce.FindAllString(body, -1)
	if s == nil || len(named) != 1 || named[0] != id {
		u.complaint = append(u.complaint, fmt.Sprintf("id %q with a prompt that names %q", id, named))
		return nil
	}
	return s
}

func (u *upstreams) began(f fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running++
	u.calls++
	u.faults[f]++
}

func (u *upstreams) ended() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running--
}

// quiet reports whether no call runs.
func (u *upstreams) quiet() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running == 0
}

// knows reports whether a key of the configuration has been seen.
func (u *upstreams) knows(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, seen := u.keys[key]
	return seen
}
