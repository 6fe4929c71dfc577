package access

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestCallersManageTheirOwnRequestsAndAdminsAll(t *testing.T) {
	require.True(t, (&Caller{Alias: "a"}).MayManage("a"))
	require.False(t, (&Caller{Alias: "a"}).MayManage("b"))
	require.False(t, (&Caller{Alias: "a"}).MayManage(""))
	require.True(t, (&Caller{Alias: "a", Admin: true}).MayManage("b"))
	require.True(t, anyone.MayManage("b"))
}

func TestModelsOfAKey(t *testing.T) {
	f := func(want bool, model string, patterns ...string) {
		t.Helper()
		require.Equal(t, want, (&Caller{Models: patterns}).MayAsk(model))
	}
	f(true, "gpt-5")
	f(true, "")
	f(true, "gpt-5", "gpt-5")
	f(false, "gpt-5-mini", "gpt-5")
	f(false, "GPT-5", "gpt-5")
	f(true, "gpt-5-mini", "gpt-5*")
	f(true, "gpt-5", "gpt-5*")
	f(true, "openai/gpt-5", "claude-*", "*/gpt-5")
	f(false, "", "gpt-5")
	f(true, "", "*")
	f(true, "a-b-c", "a*b*c")
	f(true, "abbc", "a*bc")
	f(true, "aXbXbc", "a*b*bc")
	f(false, "ab", "a*b*b")
	f(false, "a", "a*a")
	f(true, "aa", "a*a")
	f(true, "ab", "a**b")
	f(true, "x", "**")
	f(false, "xa", "a*")
	f(false, "ax", "*a")
	f(true, "a*", "a*")
}

func TestKeyOfARequest(t *testing.T) {
	f := func(want string, fields ...string) {
		t.Helper()
		var h fasthttp.RequestHeader
		for i := 0; i < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		require.Equal(t, want, string(KeyOf(&h)))
	}
	f("")
	f("k", "Authorization", "Bearer k")
	f("k", "authorization", "bEARER  k ")
	f("k", "X-Api-Key", "k")
	f("k", "Api-Key", "k")
	f("k", "Authorization", "Basic x", "X-Api-Key", "k", "Api-Key", "l")
	f("", "Authorization", "k")
	f("", "Authorization", "Bearer ")
}

func TestNewKeysAreRandomAndKnownByTheirHash(t *testing.T) {
	one, hash := NewKey()
	two, _ := NewKey()
	require.NotEqual(t, one, two)
	require.Regexp(t, `^sk-sluice-[A-Za-z0-9_-]{43}$`, one)
	require.Equal(t, Hash(one), hash)
	// FIPS 180-2, appendix B.1.
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Hash("abc"))
}
