//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// hungAfter bounds a request. A client that has waited so long is a failure.
const hungAfter = 90 * time.Second

// client is one that keeps its connection as long as it can.
type client struct {
	address string
	conn    *net.TCPConn
	in      *bufio.Reader
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.address, 10*time.Second)
	if err != nil {
		return fmt.Errorf("connecting to sluice: %w", err)
	}
	c.conn, c.in = conn.(*net.TCPConn), bufio.NewReader(conn)
	return nil
}

// request is the whole of it, as it is sent.
func request(p *plan, host string) string {
	options := ""
	if p.usage && p.stream {
		options = `"stream_options":{"include_usage":true},`
	}
	body := fmt.Sprintf(`{"model":%q,"stream":%t,%s"max_tokens":100,"messages":[{"role":"user","content":"Say %s, please."}]}`,
		p.model, p.stream, options, p.nonce)
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
		host, p.key.secret, p.nonce, len(body), body)
}

// ask makes a request and does with it what the plan says.
func (c *client) ask(p *plan) view {
	if err := c.dial(); err != nil {
		return view{wrong: "no connection to sluice"}
	}
	_ = c.conn.SetDeadline(time.Now().Add(hungAfter))
	text := request(p, c.address)
	if p.leaveUpload > 0 {
		text = text[:int(p.leaveUpload*float64(len(text)))]
	}
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.close()
		return view{wrong: "the connection to sluice broke at a request"}
	}
	var left atomic.Bool
	leave := func(conn *net.TCPConn) func() {
		return func() {
			left.Store(true)
			p.leave.by(conn)
		}
	}(c.conn)
	switch {
	case p.leaveUpload > 0:
		leave()
	case p.leave != stays && p.leaveBytes == 0:
		timer := time.AfterFunc(p.leaveAfter, leave)
		defer func() {
			if !timer.Stop() {
				c.close() // the next request needs another one
			}
		}()
	}
	v := c.read(p, leave)
	if v.left = left.Load(); v.left && v.saw == sawCut {
		v.saw, v.wrong = sawNothing, "" // what it still got may end anywhere
	}
	return v
}

// by ends a connection as a client does that leaves.
func (l leaving) by(conn *net.TCPConn) {
	switch l {
	case halfCloses:
		_ = conn.CloseWrite()
		return
	case leavesWithRST:
		_ = conn.SetLinger(0)
	case leavesWithFIN, stays:
	}
	_ = conn.Close()
}

// read reads the answer. leave is called where the client leaves inside it.
func (c *client) read(p *plan, leave func()) view {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.close()
		return unanswered(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body []byte
	if p.leaveBytes > 0 {
		body, err = io.ReadAll(io.LimitReader(response.Body, int64(p.leaveBytes)))
		if err == nil && len(body) == p.leaveBytes {
			leave()
			err = net.ErrClosed
		}
	} else {
		body, err = io.ReadAll(response.Body)
	}
	if err != nil || response.Close || p.leave != stays {
		c.close()
	}
	if isTimeout(err) {
		return unanswered(err)
	}
	return read(p, response, string(body), err == nil)
}

func unanswered(err error) view {
	if isTimeout(err) {
		return view{wrong: fmt.Sprintf("no end after %v", hungAfter)}
	}
	return view{saw: sawCut}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
