package simulator

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultTokenInterval is the pace of a stream when Options says nothing.
const DefaultTokenInterval = 20 * time.Millisecond

// Options set up a Server. The zero value is usable.
type Options struct {
	// Logger gets one line for every caller that hangs up, and nothing of the
	// requests' contents. Nil discards.
	Logger *slog.Logger
	// TokenInterval is the time between two tokens of an answer; 0 means
	// DefaultTokenInterval, a negative value no pause at all.
	TokenInterval time.Duration
}

// Server is a simulated provider.
type Server struct {
	log      *slog.Logger
	interval time.Duration
	http     *http.Server
	stop     context.CancelFunc
	journal  *journal
	started  time.Time

	mu      sync.Mutex
	closed  bool
	conns   map[net.Conn]struct{}
	idle    sync.Cond // no connection is left
	serving sync.WaitGroup
}

// New makes a server that listens nowhere yet.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TokenInterval == 0 {
		o.TokenInterval = DefaultTokenInterval
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		log: o.Logger, interval: max(o.TokenInterval, 0), stop: stop,
		journal: &journal{}, started: time.Now(), conns: map[net.Conn]struct{}{},
	}
	s.idle.L = &s.mu
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         s.track,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return s
}

// Serve answers on ln until Close, which makes it return nil. It closes ln. It may
// be called for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ln.Close()
	}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends every answer and connection at once and returns when all goroutines
// of the server have ended.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	err := s.http.Close()
	s.serving.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.idle.Wait()
	}
	return err
}

// Stats tells what the server has generated so far.
func (s *Server) Stats() Stats { return s.journal.stats() }

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// track counts the connections that still have a goroutine. One that was accepted
// while the server closed is unknown to http.Server.Close and closed here.
func (s *Server) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[conn] = struct{}{}
		if s.closed {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, conn)
		s.idle.Broadcast()
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range []string{"", "/v1"} {
		mux.HandleFunc(prefix+"/chat/completions", only(http.MethodPost, s.chat))
		mux.HandleFunc(prefix+"/completions", only(http.MethodPost, s.complete))
		mux.HandleFunc(prefix+"/embeddings", only(http.MethodPost, s.embed))
		mux.HandleFunc(prefix+"/models", only(http.MethodGet, s.listModels))
		mux.HandleFunc(prefix+"/models/{id}", only(http.MethodGet, s.showModel))
	}
	mux.HandleFunc("/stats", only(http.MethodGet, s.showStats))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, errNoSuchPath) })
	return mux
}

func only(method string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", newID("req_"))
		if r.Method != method {
			w.Header().Set("Allow", method)
			fail(w, errWrongMethod)
			return
		}
		h(w, r)
	}
}
