package credential

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testKeyID  = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// signature is Signature Version 4 as AWS's documentation describes it, written a
// second time: the four steps from the canonical request to the field.
func signature(r Request, region, service, session string) string {
	stamp := r.Time.UTC().Format("20060102T150405Z")
	path, query, _ := strings.Cut(r.Target, "?")
	signed := []string{"host", "x-amz-date"}
	headers := "host:" + r.Host + "\nx-amz-date:" + stamp + "\n"
	if session != "" {
		signed = append(signed, "x-amz-security-token")
		headers += "x-amz-security-token:" + session + "\n"
	}
	canonical := strings.Join([]string{
		r.Method, escapeAgain(path), sortedQuery(query), headers, strings.Join(signed, ";"), hexHash(r.Body),
	}, "\n")

	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexHash([]byte(canonical))}, "\n")

	key := []byte("AWS4" + testSecret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		testKeyID, scope, strings.Join(signed, ";"), hex.EncodeToString(mac(key, text)))
}

// escapeAgain escapes a path that is escaped once already: all services but S3 want
// that.
func escapeAgain(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if plain || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func sortedQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		pairs[i] = strings.ReplaceAll(url.QueryEscape(name)+"="+url.QueryEscape(value), "+", "%20")
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func staticAWS(t testing.TB, session string) Source {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", testKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_SESSION_TOKEN", session)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := AWS(ctx, "eu-west-1", "bedrock")
	require.NoError(t, err)
	return s
}

func TestSignatures(t *testing.T) {
	bareMachine(t, nil)
	plain, session := staticAWS(t, ""), Source(nil)
	f := func(r Request) string {
		t.Helper()
		r.Time = testTime
		got, err := plain.Fields(t.Context(), r)
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, "20260304T050607Z", field(got, "X-Amz-Date"))
		return field(got, "Authorization")
	}
	same := func(r Request) {
		t.Helper()
		got := f(r)
		r.Time = testTime
		require.Equal(t, signature(r, "eu-west-1", "bedrock", ""), got)
	}
	const host = "bedrock-runtime.eu-west-1.amazonaws.com"
	same(Request{Method: "POST", Target: "/model/amazon.nova-lite-v1%3A0/converse", Host: host, Body: []byte(`{"a":"b"}`)})
	same(Request{Method: "POST", Target: "/model/us.anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with-response-stream", Host: host, Body: []byte(`{}`)})
	same(Request{Method: "POST", Target: "/model/unescaped:0/converse", Host: host})
	same(Request{Method: "POST", Target: "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprofile%2Fabc/converse", Host: host})
	same(Request{Method: "POST", Target: "/model/a%20b%2fc%C3%A9(x)'*!/converse", Host: host})
	same(Request{Method: "POST", Target: "/gateway//prefix/./model/m/converse", Host: "127.0.0.1:8443"})
	same(Request{Method: "GET", Target: "/foundation-models?b=2&a=%20x%2F&a=1&c", Host: host})
	same(Request{Method: "POST", Target: "/model/m/converse", Host: "gateway.example:443"})
	same(Request{Method: "POST", Target: "/model/m/converse", Host: "[::1]:80"})
	same(Request{Method: "GET", Target: "/", Host: host})

	require.Equal(t, f(Request{Method: "POST", Target: "/m%3A0/converse?a=b", Host: "h"}),
		f(Request{Method: "POST", Target: "http://h/m%3A0/converse?a=b", Host: "h"}), "the absolute form means the same")

	session = staticAWS(t, "a+session/token==")
	r := Request{Method: "POST", Target: "/model/m%3A0/converse", Host: host, Body: []byte("{}"), Time: testTime}
	got, err := session.Fields(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "a+session/token==", field(got, "X-Amz-Security-Token"))
	require.Equal(t, signature(r, "eu-west-1", "bedrock", "a+session/token=="), field(got, "Authorization"))
}

// The signatures were made with AWS's own SDK for Python.
func TestSignaturesOfAnotherImplementation(t *testing.T) {
	bareMachine(t, nil)
	const host = "bedrock-runtime.eu-west-1.amazonaws.com"
	f := func(r Request, session, want string) {
		t.Helper()
		r.Time = testTime
		got, err := staticAWS(t, session).Fields(t.Context(), r)
		require.NoError(t, err)
		require.Contains(t, field(got, "Authorization"), "Credential=AKIDEXAMPLE/20260304/eu-west-1/bedrock/aws4_request, ")
		require.True(t, strings.HasSuffix(field(got, "Authorization"), "Signature="+want), field(got, "Authorization"))
	}
	f(Request{Method: "POST", Target: "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream", Host: host, Body: []byte(`{"messages":[]}`)},
		"", "f02b6df4283b32020b26b7106f6bca3e17c1bd2109995dfe60d422c20871bd28")
	f(Request{Method: "POST", Target: "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse", Host: host, Body: []byte(`{}`)},
		"session/token==", "acfe571e16fd324a64108a8140efbab42576789557653c43007b9202197ec9e3")
	f(Request{Method: "GET", Target: "/foundation-models?byProvider=Amazon&byOutputModality=TEXT", Host: "127.0.0.1:8443"},
		"", "74484e1da05d44577306974ec6937d6c6726b236a9130d43eb882a31706b1222")
}

func TestSignatureIsMadeForNowUnlessToldOtherwise(t *testing.T) {
	bareMachine(t, nil)
	before := time.Now().Add(-time.Second)
	got, err := staticAWS(t, "").Fields(t.Context(), Request{Method: "GET", Target: "/", Host: "h"})
	require.NoError(t, err)
	at, err := time.Parse("20060102T150405Z", field(got, "X-Amz-Date"))
	require.NoError(t, err)
	require.WithinRange(t, at, before, time.Now())
}

func BenchmarkSignature(b *testing.B) {
	s := staticAWS(b, "")
	r := Request{Method: "POST", Target: "/model/amazon.nova-lite-v1%3A0/converse-stream", Host: "bedrock-runtime.eu-west-1.amazonaws.com", Body: make([]byte, 4<<10)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Fields(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
