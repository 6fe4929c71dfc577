package limits

import (
	"os"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/internal/servers"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis writes of every refused connection
	if address := os.Getenv(childAddress); address != "" {
		os.Exit(childMain(address))
	}
	goleak.VerifyTestMain(withServer{m})
}

// withServer ends the common server before goroutines are looked for.
type withServer struct{ *testing.M }

func (m withServer) Run() int {
	defer func() {
		for _, end := range common.ends {
			end()
		}
	}()
	return m.M.Run()
}

// common is the Redis of the tests that do it no harm.
var common struct {
	once  sync.Once
	redis *servers.Redis
	ends  []func()
}

// lasting is a test whose cleanups wait for the end of the run.
type lasting struct{ testing.TB }

func (lasting) Cleanup(end func()) { common.ends = append(common.ends, end) }

func commonRedis(tb testing.TB) *servers.Redis {
	tb.Helper()
	common.once.Do(func() { common.redis = servers.StartRedis(lasting{tb}) })
	if common.redis == nil {
		tb.Skip("redis-server is not installed")
	}
	return common.redis
}
