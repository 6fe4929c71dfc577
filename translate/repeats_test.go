package translate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// read has read an event: the strings a and b are fragments, p and n vary.
func read(r *translate.Repeats, data string, f translate.Fragment) (told []string) {
	var to dialecttest.Recorder
	root, _ := jsonview.Parse([]byte(data))
	r.Forget()
	r.Give(&to, f, root.Get("a"))
	r.Give(&to, f, root.Get("b"))
	r.Learn([]byte(data), root.Get("p"), root.Get("n"))
	return to.Lines
}

func TestRepeatsTellWhereAFragmentBelongs(t *testing.T) {
	for _, f := range []translate.Fragment{
		{Kind: translate.FragmentText},
		{Kind: translate.FragmentReasoning, Choice: 2},
		{Kind: translate.FragmentArguments, Choice: 1, Call: 3},
	} {
		const first, next = `{"a":"one","p":"xyz","n":1,"c":[2]}`, `{"a":"t\nwo","p":"","n":22,"c":[2]}`
		var r translate.Repeats
		one := read(&r, first, f)
		require.Len(t, one, 1)
		again, text, ok := r.Match([]byte(next))
		require.True(t, ok)
		require.Equal(t, f, again)
		require.Equal(t, `t\nwo`, text)
		require.Equal(t, strings.Index(next, "[2]"), r.Moved(strings.Index(first, "[2]")))
		var to dialecttest.Recorder
		again.Give(&to, "one")
		require.Equal(t, one, to.Lines)
	}
}

func TestOnlyWhatFollowsAtOnceRepeats(t *testing.T) {
	var r translate.Repeats
	matches := func(data string) bool {
		_, _, ok := r.Match([]byte(data))
		return ok
	}
	read(&r, `{"a":"one"}`, translate.Fragment{})
	require.True(t, matches(`{"a":"two"}`))
	require.True(t, matches(`{"a":"three"   }`))
	require.False(t, matches(`{"a":""}`), "no fragment")
	require.False(t, matches(`{"a":"two"}`))

	read(&r, `{"a":"one"}`, translate.Fragment{})
	r.Forget()
	require.False(t, matches(`{"a":"one"}`))
}

func TestEventsWithMoreOrLessThanAFragmentDoNotRepeat(t *testing.T) {
	for _, data := range []string{`{"a":"one","b":"two"}`, `{"c":"one"}`, `{"a":""}`, `{"a":"one","n":-1}`, `{"a":"one","p":[]}`} {
		var r translate.Repeats
		read(&r, data, translate.Fragment{})
		_, _, ok := r.Match([]byte(data))
		require.False(t, ok, data)
	}
	var r translate.Repeats
	data := []byte(`{"a":"one"}`)
	root, _ := jsonview.Parse(data)
	r.Forget()
	r.Give(&dialecttest.Recorder{}, translate.Fragment{}, root.Get("a"))
	r.Learn(data, make([]jsonview.Value, jsonframe.MaxHoles)...)
	_, _, ok := r.Match(data)
	require.False(t, ok, "too much varies")
}
