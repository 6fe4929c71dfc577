package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// breaks are what ends a line for some reader, with what would follow then.
var breaks = []string{
	"\r\nX-Evil: 1\r\n\r\nevil", "\nX-Evil: 1\n\nevil", "\rX-Evil: 1\r\revil", "\x00X-Evil: 1", "\x0bX-Evil: 1", "\x0cX-Evil: 1", "\x1fX-Evil: 1", "\x7fX-Evil: 1", "\r\n\tX-Evil: 1",
}

// A control character in a header of a request is refused, not mended: nobody is called.
// row C18
func TestControlCharactersInRequestHeadersAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, field := range []string{"X-A: a%sb", "User-Agent: %s", "X-Request-Id: a%s", "Authorization: Bearer a%s", "Content-Type: application/json%s", "X-%s: a", "Traceparent: %s"} {
		for _, b := range breaks[2:] { // the first two are other headers
			line := fmt.Sprintf(field, b)
			r.requireRefused(t, "POST "+chatPath+" HTTP/1.1\r\nHost: h\r\n"+line+"\r\nContent-Length: 0\r\n\r\n", 400)
		}
	}
	for _, b := range []string{"\r\n", "\n", "\r", "\x00", "\t", " ", "\x7f", "\x80"} {
		r.requireRefused(t, "POST "+chatPath+"?a="+b+"b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 400)
	}
	require.Zero(t, r.up.Conns())
}

// A control character in a header of an answer makes it no answer, wherever it stands.
// row C18
func TestControlCharactersInAnswerHeadersReachNobody(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		for _, field := range []string{"Retry-After: 1%s", "X-RateLimit-Limit-Requests: %s", "X-Request-Id: up%s", "Content-Type: text/event-stream%s", "X-%s: 1", "Other: %s"} {
			t.Run(kind+"/"+field, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				for _, b := range breaks[2:] {
					r.up.Handle(func(e *fakeprovider.Exchange) {
						e.Raw([]byte("HTTP/1.1 200 OK\r\n" + fmt.Sprintf(field, b) + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
					})
					p := r.ask(body)
					p.requireError(t, 502, "upstream_bad_response")
					require.NotContains(t, strings.ToLower(fmt.Sprint(p.header)+string(p.body)), "evil", "%q", b)
				}
				r.allEnded()
				require.NotContains(t, strings.ToLower(r.logs.String()), "evil")
			})
		}
	}
}

// hostileText is text that would end an event, or a header, if it stood there as it is.
const hostileText = "x\r\n\r\ndata: [DONE]\r\n\r\nevent: error\rdata: evil\r\r\n\ndata: {\"evil\":1}\n\n\u2028\u2029\x00\x1b"

// requireLines asserts that a body has the events that were meant and no other line.
func requireLines(t testing.TB, body []byte) {
	t.Helper()
	require.False(t, bytes.ContainsAny(body, "\r\x00\x1b"), "%q", body)
	for line := range strings.Lines(string(body)) {
		switch line = strings.TrimSuffix(line, "\n"); line {
		case "", "data: [DONE]", "event: error":
		default:
			data, ok := strings.CutPrefix(line, "data: ")
			require.True(t, ok, "%q in %q", line, body)
			require.True(t, json.Valid([]byte(data)), "%q", data)
			var value map[string]any
			require.NoError(t, json.Unmarshal([]byte(data), &value))
			require.NotContains(t, value, "evil")
		}
	}
}

// Whatever a client or a provider writes, an event that sluice writes of it is one event, and
// a header one header.
// row C18
func TestNothingBreaksOutOfAnEventOrAHeader(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		text := asJSON(hostileText)
		chat := `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":` + text + `}]` +
			`,` + text + `:1,"user":` + text + `,"metadata":{` + text + `:` + text + `},"extra":{` + text + `:1}}`
		whole := strings.Replace(strings.Replace(chat, `"stream":true,`, "", 1), `"stream_options":{"include_usage":true},`, "", 1)
		said := fakeprovider.Said{Texts: []string{hostileText}, Calls: []fakeprovider.ToolCall{{ID: "call_1", Name: "look", Arguments: []string{`{"at":` + asJSON(hostileText) + `}`}}}}
		scripts := map[string]func(e *fakeprovider.Exchange){
			"fine": func(e *fakeprovider.Exchange) {
				if !wantsStream(e) {
					e.JSON(200, v.Answer(said))
					return
				}
				say(e, v, v.Fresh().Stream(said)...)
				e.EndChunks()
			},
			"failure": func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text("x"), v.Failure(hostileText))
			},
			"refused": func(e *fakeprovider.Exchange) { v.Refuse(e, 400, hostileText) },
			"plain":   func(e *fakeprovider.Exchange) { e.Whole(500, "text/plain", []byte(hostileText)) },
			"cut": func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text(hostileText))
			},
		}
		for name, script := range scripts {
			for kind, body := range map[string]string{"stream": chat, "whole": whole} {
				r.up.Handle(script)
				resp := r.dial().post(body, "X-Request-Id: "+name+kind)
				p := read(resp)
				for field, values := range p.header {
					require.NotContains(t, strings.ToLower(field), "evil")
					for _, value := range values {
						require.False(t, strings.ContainsAny(value, "\r\n\x00\x1b"), "%s: %q", field, value)
					}
				}
				require.Empty(t, resp.Header.Values("X-Evil"))
				if name == "fine" {
					require.Equal(t, 200, p.status, "%s", p.body)
				}
				if strings.HasPrefix(p.header.Get("Content-Type"), "text/event-stream") {
					requireLines(t, p.body)
				} else {
					require.True(t, json.Valid(p.body), "%s/%s: %q", name, kind, p.body)
				}
			}
		}
		for _, e := range r.up.Exchanges() {
			require.Empty(t, e.Request.Get("X-Evil"))
			require.NotContains(t, e.Request.Target, " ")
		}
		require.Zero(t, r.up.BadRequests())
		for line := range strings.Lines(r.logs.String()) {
			require.True(t, json.Valid([]byte(line)), "%q", line)
		}
	})
}

// The name of a model that sluice writes into the events of another is JSON there too. One
// with characters that end lines is that of no model.
// row C18
func TestRenamedModelsStayInTheirPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, fastAt("x"), func(c *config.Config) { c.Models[0].Name = "m*" })
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "x", IncludeUsage: true}))
	})
	for name, fits := range map[string]bool{
		`m"},"choices":[{"index":9}],"x":"`: true, `m\n\ndata: {"evil":1}\n\n`: true, "m</script>": true, "m\u00e9\u4e16": true, "m data: [DONE]": true, "m\u2028x": true,
		"m" + hostileText: false, "m\n\ndata: {}\n\n": false, "m\rx": false, "m\x00": false, "m\u0085x": false,
	} {
		p := r.ask(strings.Replace(streamBody, `"m"`, asJSON(name), 1))
		if !fits {
			p.requireError(t, 404, "model_not_found")
			continue
		}
		require.Equal(t, 200, p.status, "%q: %s", name, p.body)
		require.NoError(t, p.err)
		require.True(t, strings.HasSuffix(string(p.body), "data: [DONE]\n\n"))
		requireLines(t, p.body)
		for _, data := range p.data()[:len(p.data())-1] {
			var chunk struct {
				Model   string
				Choices []struct{ Index int }
			}
			require.NoError(t, json.Unmarshal([]byte(data), &chunk))
			require.Equal(t, name, chunk.Model)
			for _, choice := range chunk.Choices {
				require.Zero(t, choice.Index)
			}
		}
	}
}
