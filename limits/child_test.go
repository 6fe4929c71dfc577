package limits

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// childAddress tells a process of the test's program to be one that will be killed:
// address of Redis, namespace and names of the keys.
const childAddress = "SLUICE_LIMITS_CHILD"

const childLease = time.Second

// childMain reserves and settles without end, and tells when it has begun.
func childMain(told string) int {
	words := strings.Fields(told)
	client := redis.NewClient(&redis.Options{Addr: words[0]})
	l := New(Options{Redis: client, Namespace: words[1], Lease: childLease, Timeout: 5 * time.Second})
	for i := 0; ; i++ {
		s := childSubject(words[2+i%(len(words)-2)])
		r, err := l.Reserve(context.Background(), Ask{ID: fmt.Sprintf("%d-%d", os.Getpid(), i), Subjects: []Subject{s}, Reserve: tokens(3)})
		if err == nil && i%3 != 0 { // the others stay open
			r.Settle(tokens(1))
		}
		if i == 100 {
			_, _ = os.Stdout.WriteString("running\n")
		}
	}
}

func childSubject(name string) Subject {
	return Subject{Kind: Key, Name: name, Quota: &Quota{Streams: 50, Budgets: []Budget{{Unit: Tokens, Amount: 1 << 40, Per: Total, Hard: true}}}}
}

// startChild starts a process and waits until it holds something.
func startChild(t *testing.T, told string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childAddress+"="+told)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "running\n", line)
	return child
}

func TestKilledProcessesLeaveNothingHeld(t *testing.T) {
	t.Parallel()
	server := commonRedis(t)
	r := redisRig(t, server)
	l := r.limiter(t, func(o *Options) { o.Lease = childLease })
	keys := []string{fresh(), fresh(), fresh()}
	told := strings.Join(append([]string{server.Address, r.namespace}, keys...), " ")
	for range setting(t, "SLUICE_LIMITS_KILLS", 9) / 3 {
		var children []*exec.Cmd
		for range 3 {
			children = append(children, startChild(t, told))
		}
		require.Positive(t, r.shared(t))
		for _, child := range children {
			require.NoError(t, child.Process.Kill())
			_ = child.Wait()
		}
		for _, key := range keys { // as many streams as there are, and all of the budget
			s := childSubject(key)
			b := s.Quota.Budgets[0]
			var whole *Reservation
			require.Eventually(t, func() bool {
				var err error
				whole, err = l.Reserve(bg, ask(tokens(b.Amount-r.spent(t, l, s, b)), s))
				return err == nil
			}, soon, 10*time.Millisecond)
			all := []*Reservation{whole}
			for range s.Quota.Streams - 1 {
				all = append(all, must(t, l, ask(Amount{}, Subject{Kind: Key, Name: key, Quota: &Quota{Streams: s.Quota.Streams}})))
			}
			for _, one := range all {
				one.Settle(Amount{})
			}
		}
		r.idle(t, l)
	}
}
