package translate

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

func TestMemoryFindsWhatItWasGiven(t *testing.T) {
	c := NewMemory(1 << 20).For("alice/gemini")
	require.Empty(t, c.Find("call_1"))
	c.Keep("call_1", `{"s":1}`)
	c.Keep("call_2", `{"s":2}`)
	require.Equal(t, `{"s":1}`, c.Find("call_1"))
	require.Equal(t, `{"s":2}`, c.Find("call_2"))
	c.Keep("call_1", `{"s":3}`)
	require.Equal(t, `{"s":3}`, c.Find("call_1"))
	c.Keep("call_1", "")
	require.Empty(t, c.Find("call_1"))
	c.Keep("", `{"s":4}`)
	require.Empty(t, c.Find(""))
}

func TestMemoryIsSharedWithinAScopeOnly(t *testing.T) {
	m := NewMemory(1 << 20)
	m.For("alice/gemini").Keep("call_1", `{"s":1}`)
	require.Equal(t, `{"s":1}`, m.For("alice/gemini").Find("call_1"))
	require.Empty(t, m.For("bob/gemini").Find("call_1"))
	require.Empty(t, m.For("alice/").Find("geminicall_1"))
	require.Empty(t, m.For("").Find("call_1"))
	m.For("bob/gemini").Keep("call_1", `{"s":2}`)
	require.Equal(t, `{"s":1}`, m.For("alice/gemini").Find("call_1"))
}

func TestMemoryOfNothing(t *testing.T) {
	var none *Memory
	require.Nil(t, none.For("alice"))
	require.Nil(t, NewMemory(0).For("alice"))
	require.Nil(t, NewMemory(-1).For("alice"))
	c := NewMemory(8).For("alice")
	c.Keep("call_1", `{}`)
	require.Empty(t, c.Find("call_1"))
}

func TestMemoryForgetsWhatWasUsedLeastRecently(t *testing.T) {
	size := mementoSize(memoryKey{"alice", "call_0"}, "{}")
	m := NewMemory(8 * size)
	c := m.For("alice")
	for i := range 8 {
		c.Keep("call_"+strconv.Itoa(i), "{}")
	}
	require.Equal(t, "{}", c.Find("call_0"))
	c.Keep("call_8", "{}")
	require.Equal(t, "{}", c.Find("call_0"))
	require.Empty(t, c.Find("call_1"))
	require.Equal(t, "{}", c.Find("call_2"))
	require.Equal(t, 8*size, m.size)
}

func TestMemoryStaysWithinItsBounds(t *testing.T) {
	m := NewMemory(64 << 10)
	for i := range 1000 {
		m.For("client "+strconv.Itoa(i%7)).Keep("call_"+strconv.Itoa(i), strings.Repeat("x", i*37%20_000))
		held := 0
		for thing := m.order.Front(); thing != nil; thing = thing.Next() {
			held += mementoSize(thing.Value.(*memento).key, thing.Value.(*memento).raw)
		}
		require.Equal(t, held, m.size)
		require.Len(t, m.byKey, m.order.Len())
		require.LessOrEqual(t, m.size, 64<<10)
	}
	require.Positive(t, m.order.Len())
}

func TestMemoryKeepsNothingTooLarge(t *testing.T) {
	f := func(bound, length int, want bool) {
		t.Helper()
		c := NewMemory(bound).For("alice")
		c.Keep("call_1", "{}")
		raw := strings.Repeat("x", length)
		c.Keep("call_1", raw)
		if !want {
			raw = "" // not what was there before either: it is outdated
		}
		require.Equal(t, raw, c.Find("call_1"))
	}
	overhead := mementoSize(memoryKey{"alice", "call_1"}, "")
	f(64<<10, 16<<10-overhead, true)
	f(64<<10, 16<<10-overhead+1, false)
	f(64<<20, 1<<20-overhead, true)
	f(64<<20, 1<<20-overhead+1, false)
}

func TestMemorySharesNoMemory(t *testing.T) {
	scope, callID, raw := []byte("alice"), []byte("call_1"), []byte(`{"s":1}`)
	m := NewMemory(1 << 20)
	c := m.For(string(scope))
	c.Keep(jsonview.View(callID), jsonview.View(raw))
	for _, b := range [][]byte{scope, callID, raw} {
		clear(b)
	}
	require.Equal(t, `{"s":1}`, m.For("alice").Find("call_1"))
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	m := NewMemory(16 << 10)
	var all sync.WaitGroup
	for client := range 8 {
		all.Go(func() {
			c := m.For("client " + strconv.Itoa(client))
			for i := range 500 {
				id := "call_" + strconv.Itoa(i)
				c.Keep(id, strconv.Itoa(client))
				if found := c.Find(id); found != "" && found != strconv.Itoa(client) {
					t.Errorf("client %d found %q", client, found)
				}
			}
		})
	}
	all.Wait()
}
