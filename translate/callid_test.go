package translate

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCallIDsThatFitStay(t *testing.T) {
	f := func(id string, longest int, allowed func(byte) bool, fits bool) {
		t.Helper()
		got := CallID(id, longest, allowed)
		require.Equal(t, fits, got == id, "%q", id)
		require.Equal(t, got, CallID(id, longest, allowed))
		require.NotEmpty(t, got)
		require.LessOrEqual(t, len(got), longest)
		for i := range len(got) {
			require.True(t, allowed(got[i]), got)
		}
		require.Equal(t, got, CallID(got, longest, allowed), "an id that was made is not made anew")
	}
	f("call_Ab-9", 64, IsWord, true)
	f("toolu_01AbC", 64, IsWord, true)
	f("functions.search:0", 64, IsWord, false)
	f("call|fc", 64, IsWord, false)
	f("call_é", 64, IsWord, false)
	f("", 64, IsWord, false)
	f(strings.Repeat("a", 64), 64, IsWord, true)
	f(strings.Repeat("a", 65), 64, IsWord, false)
	f("AbCdEf123", 9, IsAlnum, true)
	f("call_1234", 9, IsAlnum, false)
	f("short", 9, IsAlnum, true)
	f("call_0123456789", 9, IsAlnum, false)
}

func TestCallIDsDiffer(t *testing.T) {
	seen := map[string]string{}
	for i := range 20_000 {
		id := "functions.search:" + strconv.Itoa(i)
		short := CallID(id, 9, IsAlnum)
		require.Len(t, short, 9)
		require.Empty(t, seen[short], "%s and %s", seen[short], id)
		seen[short] = id
	}
}

func TestMintedCallIDs(t *testing.T) {
	require.Equal(t, MintCallID("chatcmpl-1", 0, 0), MintCallID("chatcmpl-1", 0, 0))
	seen := map[string]bool{}
	for _, answer := range []string{"", "chatcmpl-1", "chatcmpl-11"} {
		for choice := range 12 {
			for call := range 12 {
				id := MintCallID(answer, choice, call)
				require.Len(t, id, 28)
				require.Regexp(t, `^call_[0-9A-Za-z]{23}$`, id)
				require.False(t, seen[id])
				seen[id] = true
			}
		}
	}
}
