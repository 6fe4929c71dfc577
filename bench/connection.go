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
	"os"
	"time"
)

// connection is one client connection, kept from stream to stream.
type connection struct {
	address string
	tcp     *net.TCPConn
	input   *bufio.Reader
	buffer  []byte
	check   checker
}

// newConnection prepares a connection with read buffers of that many bytes.
func newConnection(address string, size int) *connection {
	return &connection{address: address, input: bufio.NewReaderSize(nil, size), buffer: make([]byte, size)}
}

// open connects, unless the connection is still there.
func (c *connection) open(ctx context.Context) error {
	if c.tcp != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	c.tcp = conn.(*net.TCPConn)
	c.input.Reset(c.tcp)
	return nil
}

// close ends the connection; the next open makes a new one.
func (c *connection) close() {
	if c.tcp != nil {
		_ = c.tcp.Close()
		c.tcp = nil
	}
}

// stream asks for one stream of want deltas, reads it to its end and judges it.
// onDelta gets the times at which each delta was sent and read, as UnixNano. The
// connection is closed if the stream failed or its sender asked for that.
func (c *connection) stream(ctx context.Context, request []byte, want int, limit time.Duration, onDelta func(sent, read int64)) (err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.open(ctx); err != nil {
		return err
	}
	if err := c.tcp.SetDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if _, err := c.tcp.Write(request); err != nil {
		return readFailure("sending the request", err)
	}
	body, last, err := c.head()
	if err != nil {
		return err
	}
	if err := c.body(body, want, onDelta); err != nil {
		return err
	}
	if last {
		c.close()
	}
	return nil
}

// head reads the response head; last tells that the connection ends with this
// response. The body is not to be closed: it holds nothing but the connection, and
// closing it would first read it to its end.
func (c *connection) head() (body io.Reader, last bool, err error) {
	response, err := http.ReadResponse(c.input, &http.Request{Method: http.MethodPost}) //nolint:bodyclose // see above
	if err != nil {
		return nil, false, readFailure("reading the response head", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("%w %d", errStatus, response.StatusCode)
	}
	return response.Body, response.Close, nil
}

// body reads the response body to its end and judges it.
func (c *connection) body(body io.Reader, want int, onDelta func(sent, read int64)) error {
	c.check.reset(want)
	for {
		n, err := body.Read(c.buffer)
		now := time.Now().UnixNano()
		wrong := c.check.feed(c.buffer[:n], func(sent int64) { onDelta(sent, now) })
		if wrong != nil {
			return wrong
		}
		if errors.Is(err, io.EOF) {
			return c.check.verdict()
		}
		if err != nil {
			return readFailure(fmt.Sprintf("after %d deltas", c.check.deltas), err)
		}
	}
}

func readFailure(doing string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %s", errTimeout, doing)
	}
	return fmt.Errorf("%w: %s: %w", errCut, doing, err)
}
