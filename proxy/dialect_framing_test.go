package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Wherever the network or the provider cuts a stream in two, and however its body is
// framed, the client gets the same answer.
// rows B12, B28
func TestDivisionOfAStreamDoesNotMatterInAnyDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		_, body := wireOf(v, fakeprovider.Chunked)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.Head(200, "Content-Type: "+v.ContentType(), "Transfer-Encoding: chunked")
			for i := range body {
				e.Chunk(body[i : i+1])
			}
			e.EndChunks()
		})
		p, rec := r.askAs("bytes", chatWithTool)
		requireStreamSaid(t, v, p, rec)
		for name, f := range framings {
			wire, _ := wireOf(v, f)
			for seed := range int64(4) {
				r.up.Handle(func(e *fakeprovider.Exchange) { e.Split(seed, wire); keptAlive(e, f) })
				p, rec := r.askAs(fmt.Sprint(strings.ReplaceAll(name, " ", "-"), seed), chatWithTool)
				requireStreamSaid(t, v, p, rec)
			}
			r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(wire); keptAlive(e, f) })
			p, rec := r.askAs(strings.ReplaceAll(name, " ", "-"), chatWithTool)
			requireStreamSaid(t, v, p, rec)
		}
	})
}

// What follows the end of an answer is dropped, and closes its connection unless it is
// the end of the framing.
// row B29
func TestDataAfterTheEndInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectGemini {
			t.Skip("an answer ends with its body")
		}
		r := newRig(t, speaking(v))
		_, body := wireOf(v, fakeprovider.Chunked)
		for i, late := range []struct {
			inOne, clean bool
		}{{true, true}, {true, false}, {false, true}, {false, false}} {
			r.up.Handle(func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				rest := append(v.Start(), v.Text("another answer")...)
				e.Head(200, "Content-Type: "+v.ContentType(), "Transfer-Encoding: chunked")
				if late.inOne {
					e.Chunk(append(bytes.Clone(body), rest...))
				} else {
					e.Chunk(body)
					e.Chunk(rest)
				}
				if late.clean {
					e.EndChunks()
					return
				}
				e.Hold()
			})
			p, rec := r.askAs(fmt.Sprint("a", i), chatWithTool)
			requireStreamSaid(t, v, p, rec)
			if !late.clean {
				requireClosed(t, r.up.WaitExchange(i+1).Conn)
			}
		}
		r.up.Handle(saying(v))
		p, rec := r.askAs("next", chatWithTool)
		requireStreamSaid(t, v, p, rec)
	})
}

// Bytes behind an answer are not the next one.
// rows B20, B21
func TestBytesBehindAnAnswerInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		wire, _ := wireOf(v, fakeprovider.Chunked)
		second := fakeprovider.Response(200, "application/json", fakeprovider.ContentLength, []byte(v.Answer(fakeprovider.Said{Texts: []string{"another client's"}})))
		ambiguous := bytes.Replace(wire, []byte("Transfer-Encoding"), []byte("Content-Length: 3\r\nTransfer-Encoding"), 1)
		for i, raw := range [][]byte{append(bytes.Clone(wire), second...), ambiguous} {
			r.up.Handle(func(e *fakeprovider.Exchange) { e.Raw(raw); e.KeepAlive() })
			p, rec := r.askAs(fmt.Sprint("a", i), chatWithTool)
			requireStreamSaid(t, v, p, rec)
			requireClosed(t, r.up.WaitConn(i+1))
		}
	})
}

// A client of HTTP/1.0 gets its stream ended by the end of the connection.
func TestOldClientsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(saying(v))
		for kind, body := range map[string]string{"whole": wholeWithTool, "stream": chatWithTool} {
			c := r.dial()
			_, err := fmt.Fprintf(c, "POST %s HTTP/1.0\r\nHost: sluice.test\r\nX-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, kind, len(body), body)
			require.NoError(t, err)
			p := read(c.response())
			if kind == "whole" {
				requireWholeSaid(t, v, p, r.record(kind))
			} else {
				requireStreamSaid(t, v, p, r.record(kind))
				require.Empty(t, p.header.Get("Transfer-Encoding"))
			}
			_, err = c.r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

// A client that shuts only its sending side may be served to the end.
// row A11
func TestHalfClosedClientsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		for kind, body := range map[string]string{"whole": wholeWithTool, "stream": chatWithTool} {
			r := newRig(t, speaking(v), finishHalfClosed)
			half := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				<-half
				saying(v)(e)
			})
			c := r.dial()
			c.send("POST", chatPath, body, "X-Request-Id: a")
			r.inPhase(accounting.PhaseAwaitHeaders)
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			close(half)
			p := read(c.response())
			if kind == "whole" {
				requireWholeSaid(t, v, p, r.record("a"))
			} else {
				requireStreamSaid(t, v, p, r.record("a"))
			}
		}
	})
}

// Small events that come together leave together, and none of them is lost.
// row B25
func TestManySmallEventsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		const many = 1500
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			all := v.Start()
			for i := range many {
				all = append(all, v.Text(fmt.Sprint(i%10))...)
			}
			say(e, v, append(all, v.End(false)...))
			e.EndChunks()
		})
		p, rec := r.askAs("a", streamBody)
		p.requireWhole(t)
		got := chatrules.CheckStream(t, p.body, rulesFor(v))
		require.Equal(t, strings.Repeat("0123456789", many/10), got.Choices[0].Text)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	})
}

// A large event, as one with a picture in it, passes.
// row B24
func TestLargeEventsOfEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		large := strings.Repeat("x", 3<<20)
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			say(e, v, v.Start(), v.Text("one "), v.Text(large), v.Text(" two"), v.End(false))
			e.EndChunks()
		})
		p, rec := r.askAs("a", streamBody)
		p.requireWhole(t)
		require.True(t, strings.Contains(string(p.body), large), "the event is not there")
		require.Contains(t, string(p.body), `"content":" two"`)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
	})
}

// An event over the bound cannot be held and may have been any part of the answer, so
// the answer ends there.
// row B24
func TestEventOverTheBoundEndsATranslatedStream(t *testing.T) {
	flood := bytes.Repeat([]byte("x"), 1<<20)
	for _, v := range []*fakeprovider.Voice{{Dialect: "anthropic"}, {Dialect: "ollama"}, {Dialect: "bedrock"}} {
		t.Run(v.String(), func(t *testing.T) {
			r := newRig(t, speaking(v))
			r.up.Handle(func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text("one "))
				if v.Dialect == "bedrock" { // whose frames say their size
					frame := v.Text("two")
					binary.BigEndian.PutUint32(frame, 1<<31)
					e.Chunk(frame)
					e.Hold()
					return
				}
				begin, end, _ := bytes.Cut(v.Text("HERE"), []byte("HERE"))
				e.Chunk(begin)
				for range maxTranslated>>20 + 1 {
					e.Chunk(flood)
				}
				e.Chunk(end)
				e.Hold()
			})
			p, rec := r.askAs("a", streamBody)
			require.Error(t, p.err)
			require.Less(t, len(p.body), 1<<20)
			require.Contains(t, string(p.body), `"content":"one "`)
			require.Contains(t, string(p.body), `"code":"upstream_bad_response"`)
			require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
			require.EqualValues(t, 1, rec.BadEvents)
			requireClosed(t, r.up.WaitConn(1))
		})
	}
}
