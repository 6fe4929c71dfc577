package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

var nonce = regexp.MustCompile(`nonce-\d{2}-\d{2}`)

// Clients that share upstream connections and leave at random moments never get a word
// of another one's answer, and each request has its one record.
// rows A18, A19
func TestAbortsNeverMixUpAnswersOfAnyDialect(t *testing.T) {
	const clients, rounds = 4, 30
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(func(e *fakeprovider.Exchange) {
			own := nonce.FindString(string(e.Request.Body))
			said := fakeprovider.Said{Texts: strings.SplitAfter(strings.Repeat(own+" ", 20), " ")}
			if wantsStream(e) {
				say(e, v, v.Fresh().Stream(said)...)
				e.EndChunks()
				return
			}
			e.JSON(200, v.Answer(said))
		})
		var all sync.WaitGroup
		for n := range clients {
			rng := rand.New(rand.NewPCG(uint64(n), 11))
			dials := make(chan *client, rounds)
			for range rounds {
				dials <- r.dial()
			}
			all.Go(func() {
				for i := range rounds {
					own := fmt.Sprintf("nonce-%02d-%02d", n, i)
					if err := askOrLeave(<-dials, rng, own); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		records := r.allEnded()
		require.Len(t, records, clients*rounds)
		for _, rec := range records {
			require.Contains(t, []accounting.Outcome{accounting.OutcomeCompleted, accounting.OutcomeClientGone}, rec.Outcome, rec.Code)
		}
	})
}

// askOrLeave makes a request, and reads all of the answer or leaves within it. What it
// reads must be its own.
func askOrLeave(c *client, rng *rand.Rand, own string) error {
	defer func() { _ = c.Close() }()
	body := strings.Replace(map[bool]string{true: streamBody, false: wholeBody}[rng.IntN(3) > 0], "Say hello to the world.", own, 1)
	_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
	if err != nil {
		return err
	}
	limit := int64(1 << 20)
	if rng.IntN(2) == 0 {
		limit = int64(rng.IntN(4000))
	}
	answer, err := io.ReadAll(io.LimitReader(c.r, limit))
	if err != nil {
		return err
	}
	for _, got := range nonce.FindAllString(string(answer), -1) {
		if got != own {
			return fmt.Errorf("%s got %s", own, got)
		}
	}
	if limit == 1<<20 && strings.Count(string(answer), own+" ") != 20 {
		return fmt.Errorf("%s did not get its answer: %s", own, answer)
	}
	return nil
}
