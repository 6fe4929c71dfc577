package proxy

import (
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/translate"
)

// models answers GET /v1/models and /v1/models/{id}. With configured models they
// are the whole truth; without, the first provider is asked.
func (s *Server) models(c call) {
	if !c.rc.IsGet() && !c.rc.IsHead() {
		c.rc.Response.Header.Set("Allow", fasthttp.MethodGet)
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeMethodNotAllowed))
		return
	}
	if len(s.routes.listed) == 0 {
		c.versioned = true
		s.proxy(c)
		return
	}
	_, name, one := strings.Cut(c.path, "/")
	if !one {
		entries := make([]translate.ModelEntry, len(s.routes.listed))
		for i, listed := range s.routes.listed {
			entries[i] = s.modelEntry(listed)
		}
		writeJSON(c.rc, c.id, translate.AppendModelList(nil, entries))
		return
	}
	if _, ok := s.routes.models[name]; !ok {
		s.refuse(c.rc, c.id, translate.ModelNotFound(name))
		return
	}
	writeJSON(c.rc, c.id, translate.AppendModel(nil, s.modelEntry(name)))
}

func (s *Server) modelEntry(name string) translate.ModelEntry {
	return translate.ModelEntry{
		ID: name, Created: s.started.Unix(),
		OwnedBy: s.routes.models[name].targets[0].provider.Name,
	}
}

func writeJSON(rc *fasthttp.RequestCtx, id string, body []byte) {
	rc.Response.Header.Set("X-Request-Id", id)
	rc.SetContentType("application/json")
	rc.SetBody(body)
}
