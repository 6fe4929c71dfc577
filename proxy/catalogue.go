package proxy

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/translate"
)

const (
	// listingTime is how long providers may take for their lists; who takes longer is
	// left out.
	listingTime = 3 * time.Second
	// listingAge is how long a list is taken for fresh.
	listingAge = 5 * time.Minute
	// maxListing bounds a provider's list in bytes.
	maxListing = 16 << 20
)

// listing is the list of one provider's models, kept where it does not depend on who
// asks.
type listing struct {
	mu    sync.Mutex
	names []string
	at    time.Time
}

// catalogue is every model that a client can ask for by name: the configured ones, and
// what the providers list, as provider/model where there are several.
func (s *Server) catalogue(c call) []translate.ModelEntry {
	routes := s.routes()
	lists := make([][]string, len(routes.providers))
	ctx, cancel := context.WithTimeout(context.Background(), s.listingTime)
	defer cancel()
	var wg sync.WaitGroup
	passing := routes.listsForClient(c.caller)
	for i, p := range routes.providers {
		own := p == passing
		head := s.listingHead(c, p, own) // the request context stays in this goroutine
		wg.Go(func() {
			defer func() {
				if recover() != nil {
					s.log.Error("panic while listing models", "provider", p.Name, "stack", string(debug.Stack()))
				}
			}()
			lists[i] = s.listed(ctx, p, head, own)
		})
	}
	wg.Wait()

	var entries []translate.ModelEntry
	for _, name := range routes.listed {
		entries = append(entries, s.modelEntry(name, routes.model(name)))
	}
	for i, p := range routes.providers {
		prefix := p.Name + "/"
		if len(routes.providers) == 1 && routes.empty() {
			prefix = ""
		}
		for _, name := range lists[i] {
			if routes.model(prefix+name) != nil { // a configured name with a * takes it
				continue
			}
			entries = append(entries, translate.ModelEntry{ID: prefix + name, Created: s.started.Unix(), OwnedBy: p.Name})
		}
	}
	return entries
}

// listingHead is the head of a request for a provider's list, nil where it has none. own
// tells that the client's credential goes along.
func (s *Server) listingHead(c call, p *provider, own bool) []byte {
	path := p.relayPath("models", "", "")
	if p.dialect != nil {
		path = p.dialect.Models(&translate.Context{Platform: p.place()})
	}
	if path == "" {
		return nil
	}
	client := copyFields(&c.rc.Request.Header)
	return requestHead{
		client: &client, to: p, method: fasthttp.MethodGet, id: c.id, path: path,
		passCredential: own, foreign: true,
	}.append(nil)
}

// listsForClient is the provider whose list is asked for with the client's own credential,
// nil if there is none. Where several providers would get it, it is for one of them, and
// nothing tells for which.
func (r *routes) listsForClient(who *access.Caller) (found *provider) {
	if who.Alias != "" { // it has come with a key of sluice's
		return nil
	}
	for _, one := range r.providers {
		switch {
		case !one.passesCredential():
		case found != nil:
			return nil
		default:
			found = one
		}
	}
	return found
}

// listed is the list of a provider, fresh or not long ago; empty if it cannot be had.
func (s *Server) listed(ctx context.Context, p *provider, head []byte, own bool) []string {
	if head == nil {
		return nil
	}
	if own { // what is listed may depend on the client's own key
		names, _ := p.fetchModels(ctx, head)
		return names
	}
	p.models.mu.Lock()
	defer p.models.mu.Unlock()
	if time.Since(p.models.at) < listingAge && !p.models.at.IsZero() {
		return p.models.names
	}
	names, err := p.fetchModels(ctx, head)
	if err != nil {
		s.log.Debug("a provider lists no models", "provider", p.Name)
		return p.models.names // the last that was known
	}
	p.models.names, p.models.at = names, time.Now()
	return names
}

var errNoListing = errors.New("the provider answered with no list of models")

// fetchModels asks the provider for its list.
func (p *provider) fetchModels(ctx context.Context, head []byte) ([]string, error) {
	status, body, err := p.fetchJSON(ctx, head, maxListing)
	switch {
	case err != nil:
		return nil, err
	case status != fasthttp.StatusOK:
		return nil, errNoListing
	case p.dialect != nil:
		return p.dialect.ModelNames(body), nil
	}
	return translate.ModelNames(body), nil
}
