package translate

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nestings open a level with their first string and close it with their second.
var nestings = map[string][2]string{
	"arrays":           {"[", "]"},
	"objects":          {`{"a":`, "}"},
	"mixed":            {`[{"":`, "}]"},
	"with neighbours":  {`[{},[],"[[[{{{",{"a":1,"b":`, "}]"},
	"with white space": {" [ \n{\t\"a\" : \r", "} \n]"},
}

// levelsOf is how many levels one opening adds.
func levelsOf(nesting [2]string) int {
	return len(nesting[1]) - strings.Count(nesting[1], " ") - strings.Count(nesting[1], "\n")
}

// row C2
func TestNestingBeyond128LevelsIsRefused(t *testing.T) {
	for name, n := range nestings {
		nested := func(levels int) string {
			times := levels / levelsOf(n)
			value := strings.Repeat(n[0], times) + "1" + strings.Repeat(n[1], times)
			if levels%levelsOf(n) > 0 {
				value = "[" + value + "]"
			}
			return value
		}
		// The object of the body is the first level.
		_, failed := ParseRequest(ChatCompletions, []byte(`{"model":"m","x":`+nested(maxDepth-1)+`}`))
		require.Nil(t, failed, name)
		require.Equal(t, CodeJSONTooDeep, refused(t, `{"model":"m","x":`+nested(maxDepth)+`}`), name)
		require.Equal(t, CodeJSONTooDeep, refused(t, `{"x":`+nested(maxDepth)+`,"model":"m"}`), name)
		require.Equal(t, CodeJSONTooDeep, refused(t, `{"model":"m","stream_options":{"x":`+nested(maxDepth-1)+`}}`), name)
		require.Equal(t, CodeJSONTooDeep, refused(t, nested(maxDepth+1)), name)
		require.NotEqual(t, CodeJSONTooDeep, refused(t, nested(maxDepth)), name) // it is no object, or names no model
	}
}

// row C2: neither a whole body nor one that never closes takes a stack that grows with it.
func TestDeepBodiesAreRefusedWithoutRecursion(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	const times = 100_000
	for name, n := range nestings {
		opened, closed := strings.Repeat(n[0], times), strings.Repeat(n[1], times)
		for _, body := range []string{
			opened,
			opened + "1" + closed,
			`{"model":"m","x":` + opened,
			`{"model":"m","x":` + opened + "1" + closed + "}",
			`{"stream_options":` + opened,
			`{"model":"m" ` + opened, // broken before it is deep
			`["` + `",` + opened,
		} {
			require.Equal(t, CodeJSONTooDeep, refused(t, body), "%s: %.40q", name, body)
		}
	}
	require.Equal(t, CodeInvalidJSON, refused(t, strings.Repeat("]", times)))
	require.Equal(t, CodeInvalidJSON, refused(t, `{"model":"m"}`+strings.Repeat("[", times)))
	require.Equal(t, CodeInvalidJSON, refused(t, `{"model":"m","x":"`+strings.Repeat("[", times)))
}

func TestOnlyOpenLevelsCount(t *testing.T) {
	f := func(value string) {
		t.Helper()
		_, failed := ParseRequest(ChatCompletions, []byte(`{"model":"m","x":`+value+`}`))
		require.Nil(t, failed)
	}
	brackets := strings.Repeat("[{", 1000)
	f(`"` + brackets + `\"` + brackets + `"`) // in a string
	f(`[` + strings.Repeat("[],{},", 1000) + `1]`)
	f(`{"` + brackets + `":1}`)
}

// BenchmarkHostileBody shows that what a body costs grows with its length and nothing
// else: MB/s stays the same for a body ten times as long.
func BenchmarkHostileBody(b *testing.B) {
	for _, size := range []int{100_000, 1_000_000} {
		for name, piece := range map[string]string{
			"brackets": "[", "objects": `{"a":`, "quotes": `"",`, "backslashes": `\\`, "escaped-quotes": `\"`,
			"keys": `"model ":0,`, "escaped-keys": `"\u006dodeL ":0,`,
		} {
			body := `{"x":[` + strings.Repeat(piece, size/len(piece))
			switch piece[:1] {
			case `\`:
				body = `{"x":"` + strings.Repeat(piece, size/len(piece)) + `"`
			case `"`:
				body = `{` + strings.Repeat(piece, size/len(piece))
			}
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if _, failed := ParseRequest(ChatCompletions, []byte(body)); failed == nil {
						b.Fatal("accepted")
					}
				}
			})
		}
	}
}
