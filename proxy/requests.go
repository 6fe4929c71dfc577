package proxy

import (
	"context"
	"encoding/json"
	"sort"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/translate"
)

// runningView is an exchange in flight as GET /v1/requests shows it.
type runningView struct {
	ID       string           `json:"id"`
	Key      string           `json:"key,omitempty"`
	Model    string           `json:"model,omitempty"`
	Target   string           `json:"target,omitempty"`
	Provider string           `json:"provider,omitempty"`
	Endpoint string           `json:"endpoint"`
	Stream   bool             `json:"stream"`
	Phase    accounting.Phase `json:"phase"`
	Status   string           `json:"status"`
	AgeMS    int64            `json:"age_ms"`
	Chunks   int64            `json:"chunks"`
	Tokens   tokensView       `json:"tokens"`
}

// tokensView is what is known of the tokens of a running exchange: the provider's
// running counts where it sends them, else a guess from the text so far.
type tokensView struct {
	Input  *int64            `json:"input"`
	Output *int64            `json:"output"`
	Source accounting.Source `json:"source"`
}

// requests serves the list of running exchanges, the view of one, and its cancel.
func (s *Server) requests(c call) {
	_, rest, _ := strings.Cut(c.path, "/")
	id, action, _ := strings.Cut(rest, "/")
	method := c.method()
	switch {
	case rest == "" && method == fasthttp.MethodGet:
		s.listRequests(c)
	case rest == "":
		s.wrongMethod(c, "GET")
	case action == "" && method == fasthttp.MethodGet:
		s.showRequest(c, id)
	case action == "" && method == fasthttp.MethodDelete, action == "cancel" && method == fasthttp.MethodPost:
		s.cancelRequest(c, id)
	case action == "":
		s.wrongMethod(c, "GET, DELETE")
	case action == "cancel":
		s.wrongMethod(c, "POST")
	default:
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeNotFound))
	}
}

func (s *Server) wrongMethod(c call, allow string) {
	c.rc.Response.Header.Set("Allow", allow)
	s.refuse(c.rc, c.id, translate.NewError(translate.CodeMethodNotAllowed))
}

// listRequests lists what is in flight, here and at the other replicas.
func (s *Server) listRequests(c call) {
	views := s.runningOf(c.caller)
	answers, complete := s.ask(c, askRunning, "", nil)
	for _, answer := range answers {
		var theirs []runningView
		if json.Unmarshal(answer, &theirs) == nil {
			views = append(views, theirs...)
		}
	}
	sort.Slice(views, func(i, j int) bool { return views[i].AgeMS > views[j].AgeMS })
	list := map[string]any{"object": "list", "data": views}
	if !complete {
		list["incomplete"] = true // not every replica has said what it has
	}
	s.writeValue(c, list)
}

// showRequest answers with the record of a finished exchange, or the view of one
// that runs. An exchange that has ended but has no record yet is waited for.
func (s *Server) showRequest(c call, id string) {
	x := s.running.get(id)
	if x != nil && c.caller.MayManage(x.owner.Alias) {
		if _, over := x.valve.ended(); !over {
			s.writeValue(c, x.view())
			return
		}
		s.awaitRecord(x)
	}
	complete := true
	if x == nil {
		var theirs runningView
		var held bool
		if held, complete = s.askHolder(c, askShow, id, &theirs); held {
			s.writeValue(c, theirs)
			return
		}
	}
	if r, ok := s.remembered(id); ok && c.caller.MayManage(r.Key) {
		s.writeValue(c, r)
		return
	}
	s.notFound(c, complete)
}

// notFound tells that a request is not known; if others could not be asked, that it may be.
func (s *Server) notFound(c call, complete bool) {
	code := translate.CodeNotFound
	if !complete {
		code = translate.CodeReplicasSilent
	}
	s.refuse(c.rc, c.id, translate.NewError(code))
}

// recordWait bounds the wait for a record that is being made.
const recordWait = 5 * time.Second

func (s *Server) awaitRecord(x *exchange) {
	limit := time.NewTimer(recordWait)
	defer limit.Stop()
	select {
	case <-x.recorded:
	case <-limit.C:
	}
}

// remembered is the record of an exchange that has finished, here or elsewhere.
func (s *Server) remembered(id string) (*accounting.Record, bool) {
	ctx, cancel := context.WithTimeout(s.life, recordWait)
	defer cancel()
	return s.ledger.Get(ctx, id)
}

// cancelRequest shuts the valve of a running exchange. Called again, or for one
// that has finished, it answers with the outcome that counts.
func (s *Server) cancelRequest(c call, id string) {
	if x := s.running.get(id); x != nil {
		if !c.caller.MayManage(x.owner.Alias) {
			s.refuse(c.rc, c.id, translate.NewError(translate.CodeNotFound))
			return
		}
		s.writeStatus(c, id, x.cancel())
		return
	}
	var theirs cancelAnswer
	held, complete := s.askHolder(c, askCancel, id, &theirs)
	if held {
		s.writeStatus(c, id, theirs.Status)
		return
	}
	r, ok := s.remembered(id)
	if !ok || !c.caller.MayManage(r.Key) {
		s.notFound(c, complete)
		return
	}
	s.writeStatus(c, id, r.Outcome)
}

func (s *Server) writeStatus(c call, id string, outcome accounting.Outcome) {
	s.writeValue(c, map[string]string{"id": id, "status": string(outcome)})
}

func (s *Server) writeValue(c call, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeInternal))
		return
	}
	writeJSON(c.rc, c.id, body)
}

func (x *exchange) view() runningView {
	v := runningView{
		ID: x.id, Key: x.owner.Alias, Model: x.asked,
		Endpoint: string(x.endpoint), Stream: x.streams(), Phase: x.phaseNow(), Status: "running",
		AgeMS: time.Since(x.start).Milliseconds(),
	}
	a := x.attempts.lead()
	if a == nil { // it waits for a target
		return v
	}
	v.Target, v.Provider, v.Chunks = a.target.name(), a.target.provider.Name, a.live.chunks.Load()
	if in, out := a.live.input.get(), a.live.output.get(); in != nil || out != nil {
		v.Tokens = tokensView{Input: in, Output: out, Source: accounting.SourceRunning}
		return v
	}
	out := a.live.liveOutput()
	v.Tokens = tokensView{Output: &out, Source: accounting.SourceEstimated}
	return v
}
