package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
)

// repeats says when another target is asked after a fault.
type repeats int

const (
	notAtAll     repeats = iota // the request has run, or is wrong
	whereRisked                 // it may have run: only with retry_maybe_ran
	whereUnbegun                // it has run, but said nothing yet: with first_token_failover too
	inAnyCase                   // it has not run
)

// fault is what goes wrong at the first of several targets.
type fault struct {
	name    string
	kind    string // of the request: stream or whole; empty for both
	arrange func(f *failoverRig)
	script  fakeprovider.Script
	repeats repeats
	row     row
	// unasked: the fault comes before a request. Otherwise there is one for each call.
	unasked bool
	// kept: the connection serves on. Otherwise it ends.
	kept bool

	// What the client sees where nobody takes over: the provider's own answer, or an
	// error of that status with the code of the row; after headed events of a stream only
	// that code, unless the last event has said it.
	own    string
	status int
	mayRun bool // the client had better not repeat it
	headed bool
	before []string
	spoken bool
}

const (
	// quickToken is short for tests that wait for it, and long for an answer.
	quickToken = time.Second
	partOf     = `{"id":"chatcmpl-fake","choices":[{"index":0,`
)

var (
	begun    = fakeprovider.ChatStream(fakeprovider.ChatOptions{}) // what faulty streams begin with
	fellOver = fakeprovider.ErrorBody("the model fell over", "server_error", "server_error")
)

// neverRan is the row of a fault before the request was sent.
func neverRan(outcome accounting.Outcome, code string) row {
	return row{outcome: outcome, phase: accounting.PhaseConnect, code: code, source: accounting.SourceNone, mayBill: accounting.MayBillNone}
}

// ran is the row of a fault after which the request may have run.
func ran(outcome accounting.Outcome, phase accounting.Phase, code string, status int) row {
	return row{
		outcome: outcome, phase: phase, code: code, status: status,
		source: accounting.SourceEstimated, mayBill: accounting.MayBillPartial,
	}
}

// unsent are the faults before a request is sent.
func unsent(t testing.TB) []fault {
	errDown := errors.New("the resolver is down")
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errDown }}
	ca, stranger := fakeprovider.CA(t), fakeprovider.CA(t)
	secure := func(f *failoverRig) {
		f.repointed(0, upstream.Options{BaseURL: f.up.URL(), CAFile: ca.PEMFile(), ConnectTimeout: patience})
	}
	const failed, late = accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTimeout
	out := []fault{
		{
			name: "refused", arrange: func(f *failoverRig) { f.up.RefuseAll() },
			row: neverRan(failed, translate.CodeUpstreamConnectFailed), status: 502,
		},
		{
			name: "no such name",
			arrange: func(f *failoverRig) {
				f.repointed(0, upstream.Options{BaseURL: "http://provider.invalid", Resolver: resolver})
			},
			row: neverRan(failed, translate.CodeUpstreamDNS), status: 502,
		},
		{
			name: "no connection in time",
			arrange: func(f *failoverRig) {
				f.up.NeverHandshake()
				f.repointed(0, upstream.Options{BaseURL: f.up.URL(), ConnectTimeout: 50 * time.Millisecond})
			},
			row: neverRan(late, translate.CodeUpstreamConnectTimeout), status: 504,
		},
		{
			name: "unknown authority", arrange: func(f *failoverRig) { f.up.TLS(stranger.Good()); secure(f) },
			row: neverRan(failed, translate.CodeUpstreamTLS), status: 502,
		},
		{
			name: "TLS alert", arrange: func(f *failoverRig) { f.up.BreakHandshake(fakeprovider.HandshakeAlert); secure(f) },
			row: neverRan(failed, translate.CodeUpstreamTLS), status: 502,
		},
		{
			name: "no TLS", arrange: func(f *failoverRig) { f.up.BreakHandshake(fakeprovider.HandshakeHTTP); secure(f) },
			row: neverRan(failed, translate.CodeUpstreamTLS), status: 502,
		},
	}
	for i := range out {
		out[i].unasked, out[i].repeats = true, inAnyCase
	}
	return out
}

// refused are the faults that an answer says in its status.
func refused() []fault {
	var out []fault
	for status, when := range map[int]repeats{
		400: notAtAll, 401: notAtAll, 403: notAtAll, 404: notAtAll, 422: notAtAll, 429: inAnyCase,
		500: whereRisked, 502: whereRisked, 503: inAnyCase, 504: whereRisked, 529: inAnyCase,
	} {
		out = append(out, fault{
			name: fmt.Sprint("status ", status), script: fakeprovider.Refusal(status, "X-Ratelimit-Remaining-Requests: 0"),
			repeats: when, kept: true, status: status,
			row: row{
				outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseStreaming, code: "refused", status: status,
				source: accounting.SourceNone, mayBill: accounting.MayBillNone,
			},
			own: fakeprovider.ErrorBody(fmt.Sprint("not now: ", status), "server_error", "refused"),
		})
	}
	return append(out, fault{
		name: "redirect", repeats: inAnyCase, status: 502,
		script: func(e *fakeprovider.Exchange) {
			e.Head(307, "Location: http://elsewhere.invalid/", "Content-Length: 0")
		},
		row: row{
			outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseAwaitToken, code: translate.CodeUpstreamRedirect, status: 307,
			source: accounting.SourceNone, mayBill: accounting.MayBillNone,
		},
	})
}

// unanswered are the faults of a request that was sent and got nothing that is an answer.
func unanswered() []fault {
	const failed, late = accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTimeout
	closed := ran(failed, accounting.PhaseAwaitHeaders, translate.CodeUpstreamClosed, 0)
	encoded := func(e *fakeprovider.Exchange) {
		e.Whole(200, "application/json", []byte("abcd"), "Content-Encoding: br")
	}
	return []fault{
		{name: "closed before the head", script: fakeprovider.Cut(0, fakeprovider.EndClosed), repeats: whereRisked, row: closed, status: 502, mayRun: true},
		{name: "reset before the head", script: fakeprovider.Cut(0, fakeprovider.EndReset), repeats: whereRisked, row: closed, status: 502, mayRun: true},
		{name: "closed within the head", script: fakeprovider.Cut(20, fakeprovider.EndClosed), repeats: whereRisked, row: closed, status: 502, mayRun: true},
		{
			name: "silent", script: fakeprovider.Silent, repeats: whereRisked, status: 504, mayRun: true,
			row: ran(late, accounting.PhaseAwaitHeaders, translate.CodeUpstreamTimeout, 0),
		},
		{
			name: "no HTTP", script: fakeprovider.NoHTTP, repeats: whereRisked, status: 502, mayRun: true,
			row: ran(failed, accounting.PhaseAwaitHeaders, translate.CodeUpstreamBadResponse, 0),
		},
		{
			name: "a web page", script: fakeprovider.Page, repeats: inAnyCase, status: 502, mayRun: true,
			row: ran(failed, accounting.PhaseAwaitToken, translate.CodeUpstreamBadContentType, 200),
		},
		{
			name: "unknown coding", kind: "stream", script: encoded, repeats: whereUnbegun, status: 502, mayRun: true,
			row: ran(failed, accounting.PhaseAwaitToken, translate.CodeUpstreamBadEncoding, 200),
		},
		{
			name: "unknown coding", kind: "whole", script: encoded, repeats: whereRisked, status: 502, mayRun: true,
			row: ran(failed, accounting.PhaseAwaitToken, translate.CodeUpstreamBadEncoding, 200),
		},
	}
}

// unbegun are the faults of a stream that has a head and no token yet.
func unbegun() []fault {
	const failed, cut, late = accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTruncated, accounting.OutcomeUpstreamTimeout
	var out []fault
	for n, after := range []string{"the head", "an event without a token"} {
		at := func(outcome accounting.Outcome, code string) fault {
			return fault{
				kind: "stream", repeats: whereUnbegun, headed: true, before: begun[:n], mayRun: true,
				row: ran(outcome, accounting.PhaseAwaitToken, code, 200),
			}
		}
		add := func(name string, f fault, script fakeprovider.Script) {
			f.name, f.script = name+" after "+after, script
			out = append(out, f)
		}
		add("silent", at(late, translate.CodeUpstreamTimeout), streamThenSilence(begun[:n]...))
		said := at(failed, "server_error")
		said.spoken = true
		add("error event", said, func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Play(append(slices.Clone(begun[:n]), fellOver))
		})
		add("closed", at(cut, translate.CodeUpstreamTruncated), func(e *fakeprovider.Exchange) {
			e.StreamHead()
			sendEvents(e, begun[:n])
		})
		add("ended", at(cut, translate.CodeUpstreamTruncated), func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Play(begun[:n])
		})
		add("no chunks", at(failed, translate.CodeUpstreamBadResponse), func(e *fakeprovider.Exchange) {
			e.StreamHead()
			sendEvents(e, begun[:n])
			e.Raw([]byte("what is this\r\n"))
			e.Hold()
		})
	}
	return out
}

func sendEvents(e *fakeprovider.Exchange, payloads []string) {
	for _, p := range payloads {
		e.Event(p)
	}
}

// broken are the faults of an answer of which a token, or a part, has come.
func broken() []fault {
	const failed, cut, late = accounting.OutcomeUpstreamError, accounting.OutcomeUpstreamTruncated, accounting.OutcomeUpstreamTimeout
	stream := func(name string, row row, end func(e *fakeprovider.Exchange)) fault {
		return fault{
			name: name + " in mid-stream", kind: "stream", repeats: notAtAll, headed: true, before: begun[:3], row: row,
			script: func(e *fakeprovider.Exchange) {
				e.StreamHead()
				e.Chunk([]byte(chatText(begun[:3])))
				end(e)
			},
		}
	}
	whole := func(name string, row row, end func(e *fakeprovider.Exchange)) fault {
		return fault{
			name: name + " in a whole answer", kind: "whole", repeats: whereRisked, status: 502, mayRun: true, row: row,
			script: func(e *fakeprovider.Exchange) {
				e.Head(200, "Content-Type: application/json", "Content-Length: 4096")
				e.Body([]byte(partOf))
				end(e)
			},
		}
	}
	said := stream("error event", ran(failed, accounting.PhaseStreaming, "server_error", 200), func(e *fakeprovider.Exchange) {
		e.Event(fellOver)
		e.EndChunks()
	})
	said.spoken = true
	const streaming = accounting.PhaseStreaming
	headOnly := fault{
		name: "silent after the head of a whole answer", kind: "whole", repeats: whereRisked, status: 504, mayRun: true,
		row:    ran(late, accounting.PhaseAwaitToken, translate.CodeUpstreamTimeout, 200),
		script: wholeThenSilence(""),
	}
	silent := whole("silent", ran(late, streaming, translate.CodeUpstreamTimeout, 200), func(e *fakeprovider.Exchange) { e.Hold() })
	silent.status = 504
	return []fault{
		stream("closed", ran(cut, streaming, translate.CodeUpstreamTruncated, 200), func(*fakeprovider.Exchange) {}),
		stream("ended", ran(cut, streaming, translate.CodeUpstreamTruncated, 200), func(e *fakeprovider.Exchange) { e.EndChunks() }),
		stream("silent", ran(late, streaming, translate.CodeUpstreamTimeout, 200), func(e *fakeprovider.Exchange) { e.Hold() }),
		said,
		whole("closed", ran(cut, streaming, translate.CodeUpstreamTruncated, 200), func(*fakeprovider.Exchange) {}),
		headOnly, silent,
		resetting(stream, ran(failed, streaming, translate.CodeUpstreamReset, 200)),
		resetting(whole, ran(failed, streaming, translate.CodeUpstreamReset, 200)),
	}
}

// resetting is a fault of a connection that is reset once sluice has read what came before,
// which the reset would take away.
func resetting(of func(string, row, func(*fakeprovider.Exchange)) fault, row row) fault {
	read := make(chan struct{}, 1)
	w := of("reset", row, func(e *fakeprovider.Exchange) {
		select {
		case <-read:
		case <-e.Gone():
		}
		e.Reset()
	})
	w.arrange = func(f *failoverRig) {
		f.srv.onPhase = func(_ *exchange, p accounting.Phase) {
			if p == accounting.PhaseStreaming {
				select {
				case read <- struct{}{}:
				default:
				}
			}
		}
	}
	script := w.script
	w.script = func(e *fakeprovider.Exchange) {
		select {
		case <-read: // of the answer to an earlier request
		default:
		}
		script(e)
	}
	return w
}

// unreadable are answers that are no JSON, though they say so.
func unreadable() []fault {
	one := fault{
		name: "wrong JSON", kind: "whole", script: fakeprovider.WrongJSON, repeats: whereRisked, status: 502, mayRun: true,
		row: ran(accounting.OutcomeUpstreamError, accounting.PhaseStreaming, translate.CodeUpstreamBadResponse, 200),
	}
	other := one
	other.kind, other.repeats = "stream", whereUnbegun
	return []fault{one, other}
}

func quickTimeouts(cfg *config.Config) { cfg.Timeouts.Idle = config.Duration(quickToken) }

// requireFault asserts what a client gets of a fault where nobody takes over. headSent
// tells whether the head of a stream was on its way by then.
func (w *fault) requireFault(t testing.TB, headSent bool, p reply) {
	t.Helper()
	switch before := chatText(w.before); {
	case w.own != "":
		require.NoError(t, p.err)
		require.Equal(t, w.status, p.status)
		require.Equal(t, w.own, string(p.body))
	case w.spoken:
		require.Error(t, p.err)
		require.Equal(t, before+chatText([]string{fellOver}), string(p.body))
	case headSent:
		p.requireCut(t, w.row.code, before)
	default:
		p.requireError(t, w.status, w.row.code)
		require.Equal(t, w.mayRun, p.header.Get("X-Should-Retry") == "false")
	}
}
