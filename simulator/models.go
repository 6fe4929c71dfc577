package simulator

import (
	"net/http"
	"slices"
)

// behaviour is what sets one model apart.
type behaviour struct {
	long, calls, reasons, slow bool
	refuses                    *failure // answered at once
	breaks                     breakage
	embeds                     bool
}

// breakage is how an answer goes wrong after it began.
type breakage int

const (
	breaksNot breakage = iota
	breaksWithError
	breaksOff
)

// slowIntervals is the silence of sim-slow in token intervals.
const slowIntervals = 500

var models = map[string]behaviour{
	"sim":                 {},
	"sim-long":            {long: true},
	"sim-tools":           {calls: true},
	"sim-reasoning":       {reasons: true},
	"sim-slow":            {slow: true},
	"sim-error-429":       {refuses: errRateLimit},
	"sim-error-500":       {refuses: errBroken},
	"sim-error-401":       {refuses: errNoKey},
	"sim-error-midstream": {breaks: breaksWithError},
	"sim-truncate":        {breaks: breaksOff},
	"sim-embedding":       {embeds: true},
}

// findModel looks a name up for an endpoint: embeddings or the rest.
func findModel(name string, embeds bool) (behaviour, *failure) {
	if name == "" {
		return behaviour{}, errNoModel
	}
	m, ok := models[name]
	switch {
	case !ok:
		return m, unknownModel(name)
	case m.refuses != nil:
		return m, m.refuses
	case m.embeds != embeds:
		return m, invalid("model", "This model does not serve this endpoint.")
	}
	return m, nil
}

func (s *Server) modelObject(name string) map[string]any {
	return map[string]any{"id": name, "object": "model", "created": s.started.Unix(), "owned_by": "sluice-simulator"}
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	names := make([]string, 0, len(models))
	for name := range models {
		names = append(names, name)
	}
	slices.Sort(names)
	data := make([]any, len(names))
	for i, name := range names {
		data[i] = s.modelObject(name)
	}
	reply(w, http.StatusOK, mustJSON(map[string]any{"object": "list", "data": data}))
}

func (s *Server) showModel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("id")
	if _, ok := models[name]; !ok {
		fail(w, unknownModel(name))
		return
	}
	reply(w, http.StatusOK, mustJSON(s.modelObject(name)))
}
