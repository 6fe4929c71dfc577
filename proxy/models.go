package proxy

import (
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/translate"
)

// models answers GET /v1/models and /v1/models/{id}: the configured models, and what
// the providers list, by the names under which a client can ask for it. The only
// provider, if it speaks the client's dialect and nothing is configured, answers itself.
func (s *Server) models(c call) {
	if !c.rc.IsGet() && !c.rc.IsHead() {
		c.rc.Response.Header.Set("Allow", fasthttp.MethodGet)
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeMethodNotAllowed))
		return
	}
	routes := s.routes()
	if routes.empty() && len(routes.providers) == 1 && routes.providers[0].dialect == nil {
		c.versioned = true
		s.proxy(c)
		return
	}
	_, name, one := strings.Cut(c.path, "/")
	if m := routes.model(name); one && m != nil {
		writeJSON(c.rc, c.id, translate.AppendModel(nil, s.modelEntry(name, m)))
		return
	}
	entries := s.catalogue(c)
	if !one {
		writeJSON(c.rc, c.id, translate.AppendModelList(nil, entries))
		return
	}
	for _, e := range entries {
		if e.ID == name {
			writeJSON(c.rc, c.id, translate.AppendModel(nil, e))
			return
		}
	}
	s.refuse(c.rc, c.id, translate.ModelNotFound(name))
}

func (s *Server) modelEntry(name string, m *model) translate.ModelEntry {
	return translate.ModelEntry{ID: name, Created: s.started.Unix(), OwnedBy: m.targets[0].provider.Name}
}

func writeJSON(rc *fasthttp.RequestCtx, id string, body []byte) {
	rc.Response.Header.Set("X-Request-Id", id)
	rc.SetContentType("application/json")
	rc.SetBody(body)
}
