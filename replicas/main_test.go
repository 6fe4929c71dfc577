package replicas

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(replicaVariable); address != "" {
		if err := beReplica(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// replicaVariable makes the test's program a replica: it has the address of Redis.
const replicaVariable = "SLUICE_TEST_REPLICA"

// beReplica answers "child" until standard input ends.
func beReplica(address string) error {
	client := redis.NewClient(&redis.Options{Addr: address})
	b, err := Open(context.Background(), Options{Redis: client, Answer: says("child")})
	if err != nil {
		return err
	}
	if _, err := b.Peers(context.Background()); err != nil {
		return err
	}
	if _, err := io.WriteString(os.Stdout, "ready\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
