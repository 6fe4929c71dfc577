package translate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Values by RFC 8259: what a parser must accept, and what it must not. Each is tried
// alone and as the value of a request's member.
var validValues = []string{
	`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `10`, `0.1`, `-0.0`, `1e1`, `1E+1`, `1e-1`, `1.5e300`,
	`123456789012345678901234567890`, `0e1`, `1e999999`,
	`""`, `" "`, `"a"`, `"\""`, `"\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\u0000"`, `"\uD834\udd1e"`, `"\\u0000"`,
	"\"\x7f\"", "\"\u2028\u2029\"", `"é€😀"`, `"\\\\\""`, `"//"`, `"[{:,}]"`,
	`[]`, `[ ]`, `[[]]`, `[1]`, `[1,2]`, `[1 , 2]`, `[null,1,"a",{}]`, "[\n1\t,\r2 ]",
	`{}`, `{ }`, `{"":0}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[]}}`, "{ \"a\"\t:\r1\n}", `{"\u0061":1}`, `{"a\"b":1}`,
}

var invalidValues = []string{
	``, ` `, `nul`, `nulll`, `Null`, `tru`, `truee`, `TRUE`, `fals`, `undefined`, `NaN`, `nan`, `Infinity`, `-Infinity`, `inf`,
	`+1`, `01`, `-01`, `00`, `.1`, `1.`, `-`, `--1`, `-a`, `1e`, `1e+`, `1.e1`, `0x1`, `1_000`, `1 2`, `１`, `0.1.2`, `1e1e1`, `1a`,
	`"`, `"a`, `a"`, `'a'`, `"\"`, `"\x"`, `"\a"`, `"\u"`, `"\u00"`, `"\u00g0"`, `"\U0000"`, "\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", `"a" "b"`, `"\` + "\n" + `"`,
	`[`, `]`, `[,]`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `[1:2]`, `[1`, `[1,`, `[[1]`, `[1]]`, `[}`, `["a":1]`, `[1;2]`, `[a]`, `[...]`,
	`{`, `}`, `{]`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,,"b":2}`, `{"a" 1}`, `{"a"::1}`, `{:1}`, `{1:1}`, `{a:1}`, `{'a':1}`, `{null:1}`,
	`{"a":1 "b":2}`, `{"a":1`, `{"a":1}}`, `{"a":1,"b"}`, `{"a":1}#`, `{"a":1}//`, `{"a":/*x*/1}`, `/**/1`, `{"a":1}{"b":2}`, `{[]:1}`, `{"a":1]`,
	"\x0c1", "\x0b1", "\u00a01", "\u20281", "1\x00", "\x00", "\xff", "\xef\xbb\xbf1", "\xfe\xff\x001", `<html>`, `data: {}`,
}

func TestRequestJSONAcceptance(t *testing.T) {
	for _, value := range validValues {
		require.True(t, json.Valid([]byte(value)), "list is wrong: %q", value)
		for _, body := range []string{
			`{"model":"m","x":` + value + `}`,
			`{"x": ` + value + ` ,"model":"m"}`,
			`{"x":[` + value + `,` + value + `],"model":"m"}`,
		} {
			r, failed := ParseRequest(ChatCompletions, []byte(body))
			require.Nil(t, failed, "%q", body)
			require.Equal(t, `{"model":"up"}`, string(withoutX(t, r.Prepare(nil, []byte(body), "up", Ask{}))))
		}
	}
	for _, value := range invalidValues {
		require.False(t, json.Valid([]byte(value)), "list is wrong: %q", value)
		for _, body := range []string{
			value,
			`{"model":"m","x":` + value + `}`,
			`{"x":` + value + `,"model":"m"}`,
			`{"model":"m"}` + value,
		} {
			if json.Valid([]byte(body)) { // some only fail alone
				continue
			}
			_, failed := ParseRequest(ChatCompletions, []byte(body))
			require.NotNil(t, failed, "%q", body)
			require.Equal(t, CodeInvalidJSON, failed.Code, "%q", body)
		}
	}
}

func withoutX(t *testing.T, body []byte) []byte {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &members))
	delete(members, "x")
	out, err := json.Marshal(members)
	require.NoError(t, err)
	return out
}

func TestRequestCutAtEveryByteIsRefused(t *testing.T) {
	body := `{"model":"m","stream":true,"x":[1.5e3,{"a":"\u00e9\\"},null,false],"stream_options":{"include_usage":true}}`
	for i := range body {
		_, failed := ParseRequest(ChatCompletions, []byte(body[:i]))
		require.NotNil(t, failed, body[:i])
		require.Equal(t, CodeInvalidJSON, failed.Code, body[:i])
	}
}

func TestWalkingAnyBytesEnds(t *testing.T) {
	pieces := []string{`{`, `}`, `[`, `]`, `"`, `\`, `:`, `,`, ` `, `1`, `"a"`, `null`}
	var walk func(prefix string, left int)
	walk = func(prefix string, left int) {
		body := []byte(prefix)
		end := walkObject(body, 0, 2, func(key, value span) {
			require.Less(t, key.start, key.end)
			require.Less(t, value.start, value.end)
			require.LessOrEqual(t, value.end, len(body))
		})
		require.LessOrEqual(t, end, len(body))
		if json.Valid(body) && strings.HasPrefix(strings.TrimSpace(prefix), "{") {
			require.GreaterOrEqual(t, end, 0, prefix)
			require.Equal(t, len(body), skipSpace(body, end), prefix)
		}
		valueEnd(body, 0, 2)
		if left == 0 {
			return
		}
		for _, piece := range pieces {
			walk(prefix+piece, left-1)
		}
	}
	walk("{", 4)
}
