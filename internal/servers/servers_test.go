//go:build unix

package servers

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRedisCanBeKilledStalledAndStartedAgain(t *testing.T) {
	server := StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address, MaxRetries: -1, ReadTimeout: 100 * time.Millisecond})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	ctx := context.Background()
	require.NoError(t, client.Set(ctx, "a", "1", 0).Err())
	server.Stall()
	require.Error(t, client.Get(ctx, "a").Err())
	server.Resume()
	require.NoError(t, client.Get(ctx, "a").Err())
	server.Kill()
	require.Error(t, client.Get(ctx, "a").Err())
	server.Start(t)
	require.ErrorIs(t, client.Get(ctx, "a").Err(), redis.Nil)
}

func TestPostgresKeepsWhatWasCommittedWhenItIsKilled(t *testing.T) {
	server := StartPostgres(t)
	db, err := sql.Open("pgx", server.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec("CREATE TABLE a (n INTEGER)")
	require.NoError(t, err)
	server.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = db.ExecContext(ctx, "INSERT INTO a VALUES (1)")
	require.Error(t, err)
	server.Resume()
	server.Kill()
	require.Error(t, db.Ping())
	server.Start(t)
	_, err = db.Exec("INSERT INTO a VALUES (2)")
	require.NoError(t, err)
}

func TestLinkStallsResetsAndRefuses(t *testing.T) {
	server := StartRedis(t)
	link := StartLink(t, server.Address)
	client := redis.NewClient(&redis.Options{
		Addr: link.Address, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 100 * time.Millisecond, DialTimeout: time.Second,
	})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	ctx := context.Background()
	require.NoError(t, client.Set(ctx, "a", "1", 0).Err())
	link.Stall()
	require.Error(t, client.Get(ctx, "a").Err())
	link.Resume()
	require.NoError(t, client.Get(ctx, "a").Err())
	link.Refuse()
	require.Error(t, client.Get(ctx, "a").Err())
	link.Accept(t)
	require.Eventually(t, func() bool { return client.Get(ctx, "a").Err() == nil }, 10*time.Second, 10*time.Millisecond)
	pinned := client.Conn()
	require.NoError(t, pinned.Get(ctx, "a").Err())
	link.Reset()
	require.Error(t, pinned.Get(ctx, "a").Err())
	require.NoError(t, pinned.Close())
	require.NoError(t, client.Get(ctx, "a").Err())
}
