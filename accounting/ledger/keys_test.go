package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

func keyBooks(tb testing.TB, url string) *Books {
	tb.Helper()
	b, err := OpenBooks(context.Background(), url)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

func TestKeysInSQLite(t *testing.T) {
	testKeys(t, func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "ledger.db") })
}

func TestKeysInPostgreSQL(t *testing.T) {
	server := servers.StartPostgres(t)
	testKeys(t, func(t *testing.T) string { return server.Database(t) })
}

// changed is the key that a change returns.
func changed(t *testing.T) func(StoredKey, error) StoredKey {
	return func(k StoredKey, err error) StoredKey {
		t.Helper()
		require.NoError(t, err)
		return k
	}
}

// unchanged wants a change to fail.
func unchanged(t *testing.T, want error) func(StoredKey, error) {
	return func(k StoredKey, err error) {
		t.Helper()
		require.ErrorIs(t, err, want)
		require.Zero(t, k)
	}
}

// hashOf is a hash that belongs to a number.
func hashOf(n int) string { return fmt.Sprintf("%064x", n) }

func testKeys(t *testing.T, url func(*testing.T) string) {
	ctx := context.Background()

	t.Run("a key comes back as it was stored", func(t *testing.T) {
		b := keyBooks(t, url(t))
		keys, err := b.Keys(ctx)
		require.NoError(t, err)
		require.Empty(t, keys)

		made := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
		later := made.Add(time.Hour)
		full := StoredKey{
			Alias: "alice", SHA256: hashOf(1), Settings: json.RawMessage(`{"metadata":{"q":"? $1 ü 😀"}}`),
			CreatedAt: made, RotatedAt: &later, DisabledAt: &later,
		}
		require.Equal(t, full, changed(t)(b.CreateKey(ctx, full)))
		bob := changed(t)(b.CreateKey(ctx, StoredKey{Alias: "Bob", SHA256: hashOf(2), Settings: json.RawMessage(`{}`)}))

		keys, err = b.Keys(ctx)
		require.NoError(t, err)
		require.Len(t, keys, 2)
		require.Equal(t, bob, keys[0], "in the order of bytes with every engine")
		require.WithinDuration(t, time.Now(), keys[0].CreatedAt, time.Minute)
		require.Nil(t, keys[0].RotatedAt)
		require.Nil(t, keys[0].DisabledAt)
		require.Equal(t, full, keys[1])

		one, err := b.Key(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, full, one)
		_, err = b.Key(ctx, "carol")
		require.ErrorIs(t, err, ErrNoKey)
	})

	t.Run("an alias and a hash are there once", func(t *testing.T) {
		b := keyBooks(t, url(t))
		changed(t)(b.CreateKey(ctx, StoredKey{Alias: "alice", SHA256: hashOf(1), Settings: json.RawMessage(`{}`)}))
		unchanged(t, ErrKeyExists)(b.CreateKey(ctx, StoredKey{Alias: "alice", SHA256: hashOf(2), Settings: json.RawMessage(`{}`)}))
		unchanged(t, ErrKeyExists)(b.CreateKey(ctx, StoredKey{Alias: "bob", SHA256: hashOf(1), Settings: json.RawMessage(`{}`)}))
		keys, err := b.Keys(ctx)
		require.NoError(t, err)
		require.Len(t, keys, 1)
	})

	t.Run("a key is rotated, disabled and enabled", func(t *testing.T) {
		b := keyBooks(t, url(t))
		changed(t)(b.CreateKey(ctx, StoredKey{Alias: "alice", SHA256: hashOf(1), Settings: json.RawMessage(`{"admin":true}`)}))
		rotated := changed(t)(b.RotateKey(ctx, "alice", hashOf(2)))
		require.Nil(t, rotated.DisabledAt)
		first := changed(t)(b.DisableKey(ctx, "alice", true))
		require.Equal(t, rotated.RotatedAt, first.RotatedAt)
		require.Equal(t, hashOf(2), first.SHA256)
		require.NotNil(t, first.RotatedAt)
		require.NotNil(t, first.DisabledAt)
		require.JSONEq(t, `{"admin":true}`, string(first.Settings))

		require.Equal(t, first, changed(t)(b.DisableKey(ctx, "alice", true)), "the time of the first holds")
		again := changed(t)(b.DisableKey(ctx, "alice", false))
		require.Nil(t, again.DisabledAt)
		stored, err := b.Key(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, again, stored)
	})

	t.Run("what is not there cannot be changed", func(t *testing.T) {
		b := keyBooks(t, url(t))
		unchanged(t, ErrNoKey)(b.RotateKey(ctx, "alice", hashOf(1)))
		unchanged(t, ErrNoKey)(b.DisableKey(ctx, "alice", true))
		unchanged(t, ErrNoKey)(b.DisableKey(ctx, "alice", false))
		unchanged(t, ErrNoKey)(b.UpdateKey(ctx, "alice", func(json.RawMessage) (json.RawMessage, error) {
			t.Error("there is nothing to change")
			return nil, nil
		}))
	})

	t.Run("a change that fails changes nothing", func(t *testing.T) {
		b := keyBooks(t, url(t))
		changed(t)(b.CreateKey(ctx, StoredKey{Alias: "alice", SHA256: hashOf(1), Settings: json.RawMessage(`{}`)}))
		cause := errors.New("cause")
		unchanged(t, cause)(b.UpdateKey(ctx, "alice", func(json.RawMessage) (json.RawMessage, error) { return nil, cause }))
		k, err := b.Key(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, `{}`, string(k.Settings))
	})

	t.Run("changes from two processes take turns", func(t *testing.T) {
		where := url(t)
		one, two := keyBooks(t, where), keyBooks(t, where)
		changed(t)(one.CreateKey(ctx, StoredKey{Alias: "alice", SHA256: hashOf(1), Settings: json.RawMessage(`0`)}))
		const each = 25
		var writers sync.WaitGroup
		for _, b := range []*Books{one, two, one} {
			writers.Go(func() {
				for range each {
					if _, err := b.UpdateKey(ctx, "alice", addOne); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		k, err := two.Key(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(3*each), string(k.Settings))
	})

	t.Run("a closed database is an error", func(t *testing.T) {
		b, err := OpenBooks(ctx, url(t))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		_, err = b.Keys(ctx)
		require.ErrorContains(t, err, "reading the keys")
		_, err = b.Key(ctx, "alice")
		require.ErrorContains(t, err, "reading a key")
		_, err = b.CreateKey(ctx, StoredKey{Alias: "alice"})
		require.ErrorContains(t, err, "changing a key")
		_, err = b.UpdateKey(ctx, "alice", addOne)
		require.ErrorContains(t, err, "changing a key")
	})
}

// addOne counts in the settings of a key.
func addOne(before json.RawMessage) (json.RawMessage, error) {
	n, err := strconv.Atoi(string(before))
	return json.RawMessage(strconv.Itoa(n + 1)), err
}
