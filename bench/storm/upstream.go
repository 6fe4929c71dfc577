//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// upstream is the provider. It answers chat completions at a pace that follows from the
// id of the request, and remembers every id that it saw.
type upstream struct {
	url     string
	quick   bool // answers are over in milliseconds
	server  *http.Server
	stopped chan struct{}

	mu   sync.Mutex
	seen map[string]int // calls for each id
}

// heldID begins the ids of requests that are answered with one word and then with nothing
// until the client leaves.
const heldID = "held-"

func startUpstream(quick bool) (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the listener of the upstream: %w", err)
	}
	u := &upstream{
		url: "http://" + listener.Addr().String() + "/v1", quick: quick,
		stopped: make(chan struct{}), seen: make(map[string]int),
	}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(u.stopped)
		_ = u.server.Serve(listener) // until it is closed
	}()
	return u, nil
}

func (u *upstream) stop() {
	_ = u.server.Close()
	<-u.stopped
}

// ids are those that were seen, and how often.
func (u *upstream) ids() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make(map[string]int, len(u.seen))
	for id, n := range u.seen {
		out[id] = n
	}
	return out
}

// pace is how an answer goes.
type pace struct {
	head, every time.Duration
	chunks      int
	usage       bool
}

// paceOf is the same for the same id, and differs from one id to the next.
func (u *upstream) paceOf(id string) pace {
	h := fnv.New64a()
	_, _ = io.WriteString(h, id)
	n := h.Sum64()
	p := pace{usage: n>>8&1 == 0, chunks: 2 + int(n>>16%10)}
	if !u.quick {
		p.chunks += int(n >> 24 % 40)
		p.head = time.Duration(n>>32%20) * time.Millisecond
		p.every = time.Duration(n>>40%25) * time.Millisecond
	}
	return p
}

// ServeHTTP serves chat completions and nothing else.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.NotFound(w, r) // sluice looks whether there is a list of models
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it did not come whole
	}
	id := r.Header.Get("X-Request-Id")
	u.mu.Lock()
	u.seen[id]++
	u.mu.Unlock()
	var asked struct {
		Stream bool `json:"stream"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		http.Error(w, `{"error":{"message":"not JSON"}}`, http.StatusBadRequest)
		return
	}
	p := u.paceOf(id)
	if !child.Wait(r.Context(), p.head) {
		return
	}
	if asked.Stream {
		u.stream(w, r, id, p)
		return
	}
	if child.Wait(r.Context(), time.Duration(p.chunks)*p.every) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, whole(p))
	}
}

func (u *upstream) stream(w http.ResponseWriter, r *http.Request, id string, p pace) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	send := func(text string) bool {
		_, err := io.WriteString(w, text)
		return err == nil && flusher.Flush() == nil
	}
	for i := range p.chunks {
		if i > 0 && !child.Wait(r.Context(), p.every) || !send(chunk(fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":"word%d "},"finish_reason":null}]`, i))) {
			return
		}
		if i == 0 && strings.HasPrefix(id, heldID) {
			<-r.Context().Done()
			return
		}
	}
	var end bytes.Buffer
	end.WriteString(chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`))
	if p.usage {
		end.WriteString(chunk(`"choices":[],` + usage(p)))
	}
	end.WriteString("data: [DONE]\n\n")
	send(end.String())
}

func chunk(members string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"storm",` + members + "}\n\n"
}

func whole(p pace) string {
	members := ""
	if p.usage {
		members = "," + usage(p)
	}
	return `{"id":"c","object":"chat.completion","created":1,"model":"storm","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", p.chunks) + `"},"finish_reason":"stop"}]` + members + `}`
}

func usage(p pace) string {
	return fmt.Sprintf(`"usage":{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}`, p.chunks, 7+p.chunks)
}
