package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rulesOf has a rule for every member: the default, except where others says so.
func rulesOf(rule Rule, others Rules) Rules {
	all := Rules{}
	for _, name := range ChatMembers {
		all[name] = rule
	}
	for name, other := range others {
		all[name] = other
	}
	return all
}

func TestRulesDropAndRefuseWhatWasSent(t *testing.T) {
	rules := rulesOf(Translated, Rules{"seed": Dropped, "store": Dropped, "n": Refused, "logit_bias": Refused})
	f := func(members string, refused string, warnings ...string) {
		t.Helper()
		var c Context
		failed := rules.Apply(&c, parseChat(t, members))
		if refused == "" {
			require.Nil(t, failed)
		} else {
			require.NotNil(t, failed)
			require.Equal(t, CodeUnsupported, failed.Code)
			require.Equal(t, refused, failed.Param)
		}
		require.Equal(t, warnings, c.Warnings)
	}
	f(``, "")
	f(`,"temperature":1,"top_k":5`, "")
	f(`,"seed":1`, "", "'seed' was dropped: the provider of this model has nothing like it.")
	f(`,"seed":null,"store":false,"n":1`, "")
	f(`,"seed":1,"store":true`, "", "'seed' was dropped: the provider of this model has nothing like it.",
		"'store' was dropped: the provider of this model has nothing like it.")
	f(`,"n":2`, "n")
	f(`,"logit_bias":{"5":1},"n":2`, "logit_bias")
}

func TestAMemberWithoutARuleIsRefused(t *testing.T) {
	failed := Rules{}.Apply(&Context{}, parseChat(t, ``))
	require.NotNil(t, failed)
	require.Equal(t, "messages", failed.Param)
}

func TestRulesWarnOfMembersThatNobodyKnows(t *testing.T) {
	chat, failed := ParseChat([]byte(`{"model":"m","messages":[{"role":"user","a'\r\né":1,"` + strings.Repeat("x", 500) + `":2}]}`))
	require.Nil(t, failed)
	var c Context
	require.Nil(t, rulesOf(Translated, nil).Apply(&c, chat))
	require.Equal(t, []string{
		"'messages.0.a????' was dropped: it is unknown.",
		"'" + ("messages.0." + strings.Repeat("x", 500))[:128] + "' was dropped: it is unknown.",
	}, c.Warnings)
}

func TestTheSameWarningIsNotedOnce(t *testing.T) {
	var c Context
	c.Warn("a")
	c.Warn("b")
	c.Warn("a")
	require.Equal(t, []string{"a", "b"}, c.Warnings)
}
