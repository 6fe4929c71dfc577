package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/credential"
	"github.com/sluicehq/sluice/proxy/upstream"
)

var errNoJSON = errors.New("the provider answered with no JSON, or too much of it")

// fetchJSON makes a request of sluice's own, with the provider's credential if one is
// configured, and reads the answer, which is one JSON value of up to limit bytes. Of an
// answer with another status than 200 it returns the status alone.
func (p *provider) fetchJSON(ctx context.Context, head []byte, limit int) (status int, body []byte, err error) {
	if head, err = p.authorize(ctx, head, credential.Request{Method: fasthttp.MethodGet}); err != nil {
		return 0, nil, err
	}
	conn, err := p.pool.Dial(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	if _, err := conn.Write(head); err != nil {
		return 0, nil, err
	}
	var r upstream.Reader
	r.Reset(conn)
	defer r.Release()
	var h upstream.Head
	if err := r.ReadHead(&h, fasthttp.MethodGet); err != nil || h.Status != fasthttp.StatusOK {
		return h.Status, nil, err
	}
	for {
		b, err := r.ReadBody()
		body = append(body, b...)
		switch {
		case len(body) > limit:
			return h.Status, nil, errNoJSON
		case errors.Is(err, io.EOF):
			if !json.Valid(body) { // unlike gjson's, it bounds the depth
				return h.Status, nil, errNoJSON
			}
			return h.Status, body, nil
		case err != nil:
			return h.Status, nil, err
		}
	}
}

// ownHead is the head of a request that no client has made.
func (p *provider) ownHead(path, id string) []byte {
	client := headFields{list: []headField{{"User-Agent", "sluice"}}}
	return requestHead{client: &client, to: p, method: fasthttp.MethodGet, id: id, path: path, foreign: true}.append(nil)
}
