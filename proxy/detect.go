package proxy

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"
)

// detectAgain is how long a server is left alone that could not be asked what it is.
const detectAgain = time.Hour

// detection finds out whether a provider's server is one that tells the usage of a stream
// while it runs, when it is asked to. Others may refuse a request that asks.
type detection struct {
	wanted bool        // nothing is configured, and the server may be such a one
	over   atomic.Bool // what it is is known
	// next is when it may be asked, after the start of the process.
	next atomic.Int64
}

// due reports true to one caller when the server is to be asked now.
func (d *detection) due(now time.Duration) bool {
	if !d.wanted || d.over.Load() {
		return false
	}
	next := d.next.Load()
	return int64(now) >= next && d.next.CompareAndSwap(next, int64(now+detectAgain))
}

// detectRunningUsage has the provider asked what it is, beside a stream that it has begun.
func (a *attempt) detectRunningUsage() {
	s, p := a.srv, a.target.provider
	if !a.streams() || a.statusUp >= 300 || !p.detection.due(time.Since(s.started)) {
		return
	}
	id := a.id
	s.background.start(s, "asking a server what it is", func() { s.detectRunningUsage(p, id) })
}

// detectRunningUsage asks for the list of models, in which vLLM and SGLang name themselves.
// It is asked for with the credential that is configured, or without one.
func (s *Server) detectRunningUsage(p *provider, id string) {
	ctx, cancel := context.WithTimeout(s.life, s.listingTime)
	defer cancel()
	status, body, err := p.fetchJSON(ctx, p.ownHead(p.relayPath("models", "", ""), id), maxListing)
	switch {
	case err != nil, status == fasthttp.StatusRequestTimeout, status == fasthttp.StatusTooManyRequests, status >= 500:
		return // another time
	}
	name := modelsOwner(body)
	if runningUsageServers[name] {
		p.runningUsage.Store(true)
		s.log.Info("the usage of streams is asked for while they run", "provider", p.Name, "server", name)
	}
	p.detection.over.Store(true)
}

// runningUsageServers are those that know continuous_usage_stats, by the owned_by of their
// models (vllm/entrypoints/openai and sglang/srt/entrypoints/openai, protocol.py).
var runningUsageServers = map[string]bool{"vllm": true, "sglang": true}

// modelsOwner is the one owner of all models in a list; empty if there are several, as
// behind a gateway, or none.
func modelsOwner(list []byte) string {
	owner, same := "", true
	gjson.GetBytes(list, "data").ForEach(func(_, model gjson.Result) bool {
		of := model.Get("owned_by").Str
		same = of != "" && (owner == "" || of == owner)
		owner = of
		return same
	})
	if !same {
		return ""
	}
	return owner
}

// unaskRunningUsage stops the asking when a server turns out to refuse it: the first versions
// of vLLM do, which know no such option, and so may something that stands in front of it.
func (a *attempt) unaskRunningUsage(refusal []byte) {
	s, p := a.srv, a.target.provider
	if a.request == nil || !p.detection.wanted || !a.request.HideRunningUsage(a.ask) {
		return
	}
	if a.statusUp != fasthttp.StatusBadRequest && a.statusUp != fasthttp.StatusUnprocessableEntity {
		return
	}
	if !bytes.Contains(refusal, []byte("continuous_usage_stats")) && !bytes.Contains(refusal, []byte("stream_options")) {
		return
	}
	if p.runningUsage.CompareAndSwap(true, false) {
		s.log.Warn("a server refuses to tell the usage of streams while they run, and is not asked any more", "provider", p.Name)
	}
}
