package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Bodies that are no request are refused before anybody is called: they have a counter and
// no record, and their connection ends.
// rows C1, C2, C3
func TestBodiesThatAreNoRequestReachNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	messages := `"messages":[{"role":"user","content":"hi"}]`
	for code, bodies := range map[string][]string{
		"invalid_json": {
			"", " ", "{", "}", "[]", "null", "true", "7", `"text"`, "{]", `{"model":"m",}`, `{"model":"m"`, `{"model":"m"} {}`, `{"model":"m"}x`, `{'model':'m'}`, `{model:"m"}`,
			`{"model":"m",` + messages, `{"model":"m","a":01}`, `{"model":"m","a":.5}`, `{"model":"m","a":NaN}`, "{\"model\":\"m\n\"}", "{\"model\":\"\xff\",\"a\":\x00}", "\xef\xbb\xbf{\"model\":\"m\"}", "\xff\xfe{\x00}\x00", `{"model":"m","a":"\x"}`, `[{"model":"m"}]`,
			strings.Repeat("[", 100), "model=m&stream=true", "<xml/>",
		},
		"json_too_deep": {
			strings.Repeat("[", 100_000), `{"model":"m","a":` + strings.Repeat("[", 100_000), `{"model":"m","a":` + strings.Repeat(`{"a":`, 50_000),
			`{"model":"m","a":` + strings.Repeat("[", 129) + strings.Repeat("]", 129) + "}",
		},
		"duplicate_key": {
			`{"model":"m","model":"n",` + messages + `}`, `{"model":"m","MODEL":"n",` + messages + `}`, `{"model":"m","\u006dodel":"n",` + messages + `}`, `{"model":"m","stream":false,"stream":true,` + messages + `}`,
			`{"model":"m","stream":true,"Stream":false,` + messages + `}`, `{"model":"m","n":1,"n":2,` + messages + `}`, `{"model":"m","stream":true,"stream_options":{},"stream_options":{"include_usage":true},` + messages + `}`,
			`{"model":"m","stream_options":{},"STREAM_OPTIONS":{},` + messages + `}`, `{"model":"m","\u006eode":1,"\u006e":1,"n":2,` + messages + `}`,
		},
		"ambiguous_key": {`{"MODEL":"m",` + messages + `}`, `{"Model":"m",` + messages + `}`, `{"model":"m","STREAM":true,` + messages + `}`, `{"model":"m","N":100,` + messages + `}`, `{"mod\u0045l":"m",` + messages + `}`},
		"invalid_type":  {`{"model":7}`, `{"model":["m"]}`, `{"model":{"a":"m"}}`, `{"model":"m","stream":"true"}`, `{"model":"m","stream":1}`, `{"model":"m","n":"two"}`, `{"model":"m","stream":true,"stream_options":[]}`},
		"missing_model": {`{}`, `{"model":""}`, `{"model":null}`, `{"messages":[]}`, `{"a":{"model":"m"}}`},
	} {
		before := r.rejected(code)
		for _, body := range bodies {
			r.requireRefused(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body), 400)
			c := r.dial()
			p := c.askOn(chatPath, body)
			p.requireError(t, 400, code)
			require.NoError(t, c.Close())
		}
		require.Equal(t, before+2*float64(len(bodies)), r.rejected(code), code)
	}
	require.Zero(t, r.up.Conns())
	require.Zero(t, r.ledger.Len())
	require.Empty(t, r.srv.running.all())
	require.Zero(t, r.srv.memory.Used())
}

// What sluice has checked is what the provider gets: a key that may ask for one model only
// cannot get another past it by a spelling that a provider would read.
// row C3
func TestWhatIsCheckedIsWhatIsSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "anna", SHA256: hashOf("sk-anna"), Models: []string{"allowed"}}}
	})
	for _, members := range []string{
		`"model":"allowed","MODEL":"forbidden"`, `"MODEL":"forbidden","model":"allowed"`, `"model":"allowed","\u004dodel":"forbidden"`, `"model":"allowed","model":"forbidden"`,
		`"model":"forbidden"`, `"model":"allowed ","a":1`, `"model":"Allowed"`, `"model":"\u0066orbidden"`, `"model":"allowed\u0000"`, `"model":"fake/forbidden"`, `"model":"allowed","Model":null`,
	} {
		p := r.ask(`{`+members+`,"messages":[{"role":"user","content":"hi"}]}`, "Authorization: Bearer sk-anna")
		require.Contains(t, []int{400, 404}, p.status, "%s: %s", members, p.body)
	}
	require.Zero(t, r.up.Conns())
	require.Equal(t, 200, r.ask(`{"\u006dodel":"allow\u0065d","messages":[]}`, "Authorization: Bearer sk-anna").status)
	require.Equal(t, "allowed", r.up.WaitExchange(1).Asked().Model)
}

// smuggledRequest is one that must never be served: it stands behind one that is refused.
const smuggledRequest = "GET /v1/requests HTTP/1.1\r\nHost: h\r\nX-Request-Id: smuggled\r\n\r\n"

// A request that is refused before its body is read ends its connection: what follows is
// never taken for a request.
// rows C4, C12, C13
func TestEarlyRefusalsEndTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "anna", SHA256: hashOf("sk-anna")}}
		c.Limits.MaxBody = 4 << 10
	})
	const key = "Authorization: Bearer sk-anna\r\n"
	head := "POST " + chatPath + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
	smuggling := strings.Repeat("x", 8<<10) + "\r\n\r\n" + smuggledRequest
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"a length of 10 GB":              {head + key + "Content-Length: 10000000000\r\n\r\n" + smuggling, 413, "body_too_large"},
		"a length a byte too large":      {head + key + "Content-Length: 4097\r\n\r\n" + smuggling, 413, "body_too_large"},
		"chunks without end":             {head + key + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 5) + smuggledRequest, 413, "body_too_large"},
		"a chunk of 2 GB":                {head + key + "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + smuggling, 413, "body_too_large"},
		"an expectation nobody meets":    {head + key + "Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello" + smuggledRequest, 417, "expectation_failed"},
		"an expectation and too large":   {head + key + "Expect: 100-continue\r\nContent-Length: 10000000000\r\n\r\n" + smuggledRequest, 413, "body_too_large"},
		"an expectation without a key":   {head + "Expect: 100-continue\r\nContent-Length: 60\r\n\r\n" + smuggledRequest, 401, "invalid_api_key"},
		"an expectation with a bad path": {strings.Replace(head, chatPath, "/v1/../x", 1) + key + "Expect: 100-continue\r\nContent-Length: 60\r\n\r\n" + smuggledRequest, 404, "not_found"},
		"an expectation with a bad key":  {head + "Authorization: Bearer sk-bert\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n" + smuggledRequest, 401, "invalid_api_key"},
		"no key":                         {head + "Content-Length: 2\r\n\r\n{}" + smuggledRequest, 401, "invalid_api_key"},
		"lengths that disagree":          {head + key + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + smuggledRequest, 400, "bad_request"},
		"a length and chunks":            {head + key + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggledRequest, 400, "bad_request"},
		"a body that is no JSON":         {head + key + "Content-Length: 2\r\n\r\n{]" + smuggledRequest, 400, "invalid_json"},
		"a path that is none":            {strings.Replace(head, chatPath, "/x", 1) + key + "Content-Length: 2\r\n\r\n{}" + smuggledRequest, 404, "not_found"},
		"another path that is none":      {strings.Replace(head, chatPath, "/v1//x", 1) + key + "Content-Length: 2\r\n\r\n{}" + smuggledRequest, 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := r.dial()
			go func() { _, _ = io.WriteString(conn, c.request) }() // it may be refused while it is sent
			resp := conn.response()
			require.True(t, resp.Close)
			read(resp).requireError(t, c.status, c.code)
			_, err := http.ReadResponse(conn.r, nil)
			require.Error(t, err, "a second request was served")
			require.NoError(t, conn.Close())
		})
	}
	require.Zero(t, r.up.Conns())
	require.Zero(t, r.ledger.Len())
	require.NotContains(t, r.logs.String(), "smuggled")
	r.until("the memory of a refused body is kept", func() bool { return r.srv.memory.Used() == 0 })
}

// Leave to send a body is given once the head has passed all checks, and then the body counts.
// row C13
func TestLeaveToSendIsGivenToWhomItIsDue(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.Keys = []config.Key{{Alias: "anna", SHA256: hashOf("sk-anna")}} })
	r.up.Handle(fakeprovider.DefaultScript)
	c := r.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nX-Api-Key: sk-anna\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n", chatPath, len(wholeBody)))
	resp := c.response()
	require.Equal(t, 100, resp.StatusCode)
	require.Zero(t, r.up.Conns())
	_, err := io.WriteString(c, wholeBody)
	require.NoError(t, err)
	require.Equal(t, 200, read(c.response()).status)
	require.Empty(t, r.up.WaitExchange(1).Request.Get("Expect"))
	require.Equal(t, 200, c.askOn(chatPath, wholeBody, "X-Api-Key: sk-anna").status)
}
