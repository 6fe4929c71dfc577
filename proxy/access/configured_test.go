package access

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

// row D10
func TestReplacedKeysOfTheConfigurationCountAtOnce(t *testing.T) {
	k := newRing(t, Options{Configured: []config.Key{configured("root", "k1", true), configured("alice", "old", false), configured("gone", "k3", false)}})
	before, ok := k.Identify([]byte("old"))
	require.True(t, ok)

	alice := configured("alice", "new", false)
	alice.Models = []string{"fast"}
	next := []config.Key{configured("root", "k1", false), alice, configured("bob", "k4", true)}
	require.NoError(t, k.SetConfigured(next))
	next[0].Alias = "changed by its owner"
	for key, want := range map[string]string{"k1": "root", "old": "refused", "new": "alice", "k3": "refused", "k4": "bob"} {
		require.Equal(t, want, alias(k, key), key)
	}
	require.Equal(t, []string{"alice", "bob", "root"}, k.Aliases())
	require.False(t, k.Knows("gone"))
	require.Equal(t, "root", k.Configured()[0].Alias)
	after, ok := k.Caller("alice")
	require.True(t, ok)
	require.Equal(t, []string{"fast"}, after.Models)
	require.Empty(t, before.Models, "who came in before is who it was")
	root, _ := k.Caller("root")
	require.False(t, root.Admin)
	require.True(t, k.HasAdmin())

	require.NoError(t, k.SetConfigured(nil))
	require.True(t, k.Open())
	require.NoError(t, k.SetConfigured([]config.Key{configured("root", "k1", true)}))
	require.False(t, k.Open())
	require.Equal(t, "refused", alias(k, ""))
}

func TestKeysOfTheConfigurationAreReplacedAllOrNot(t *testing.T) {
	k := newRing(t, Options{Configured: []config.Key{configured("root", "k1", true)}})
	err := k.SetConfigured([]config.Key{configured("alice", "k2", false), {Alias: "bad", SHA256: "ab"}})
	require.ErrorContains(t, err, "the key bad has no SHA-256")
	require.Equal(t, "root", alias(k, "k1"))
	require.Equal(t, "refused", alias(k, "k2"))
	require.Len(t, k.Configured(), 1)
}

// Stored keys stay known through a change of the configuration, and take the place that it
// leaves to them.
func TestStoredKeysStayWhenTheConfigurationChanges(t *testing.T) {
	books := openBooks(t, sqlite(t))
	kept := store(t, books, "kept", `{"models":["a"]}`)
	shadowed := store(t, books, "alice", `{}`)
	k := newRing(t, Options{Store: books, Refresh: never, Configured: []config.Key{configured("alice", "k", false)}})
	require.Equal(t, "alice", alias(k, "k"))
	require.Equal(t, "refused", alias(k, shadowed))
	readAt := k.current.Load().readAt

	require.NoError(t, books.Close()) // it is not asked
	require.NoError(t, k.SetConfigured(nil))
	require.Equal(t, "refused", alias(k, "k"))
	require.Equal(t, "alice", alias(k, shadowed))
	require.Equal(t, "kept", alias(k, kept))
	require.False(t, k.Open())
	require.Equal(t, readAt, k.current.Load().readAt)
	require.NoError(t, k.SetConfigured([]config.Key{configured("kept", "k", false)}))
	require.Equal(t, "refused", alias(k, kept))
	require.Equal(t, "kept", alias(k, "k"))
	caller, _ := k.Caller("kept")
	require.Empty(t, caller.Models, "the settings of the stored one do not come back")
}

func TestKeysOfTheConfigurationAreReplacedWhileTheStoreIsRead(t *testing.T) {
	books := openBooks(t, sqlite(t))
	kept := store(t, books, "kept", `{}`)
	k := newRing(t, Options{Store: books, Refresh: never})
	var group sync.WaitGroup
	group.Go(func() {
		for range 50 {
			_ = k.Refresh(t.Context())
		}
	})
	for i := range 200 {
		require.NoError(t, k.SetConfigured([]config.Key{configured("root", fmt.Sprint(i), true)}))
		require.Equal(t, "root", alias(k, fmt.Sprint(i)))
		require.Equal(t, "kept", alias(k, kept))
	}
	group.Wait()
	require.Equal(t, "root", alias(k, "199"))
	require.Equal(t, "kept", alias(k, kept))
}
