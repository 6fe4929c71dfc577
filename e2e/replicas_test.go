//go:build e2e

package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"
)

// takeoverPatience is for what happens only after the lease of a dead replica.
const takeoverPatience = time.Minute

// listed are the ids that a replica lists.
func (s *sluice) listed(key string) []string {
	s.tb.Helper()
	status, body := s.call(http.MethodGet, "/v1/requests", key)
	require.Equal(s.tb, http.StatusOK, status)
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	require.NoError(s.tb, json.Unmarshal(body, &list))
	ids := make([]string, 0, len(list.Data))
	for _, one := range list.Data {
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	return ids
}

// cancelAt cancels a request and returns what the replica says of it.
func (s *sluice) cancelAt(id, key string) (int, string) {
	s.tb.Helper()
	status, body := s.call(http.MethodPost, "/v1/requests/"+id+"/cancel", key)
	return status, string(body)
}

func TestReplicasActAsOne(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	f.awaitEachOther()
	t.Run("a list has the requests of all", f.testList)
	t.Run("a limit is that of all together", f.testLimit)
	t.Run("a cancel reaches the replica that holds the stream", f.testCancel)
	t.Run("nobody sees the requests of others", f.testStrangers)
	t.Run("a killed replica frees what it held", f.testKill)
}

// awaitEachOther waits until every replica hears the others.
func (f *fleet) awaitEachOther() {
	f.tb.Helper()
	for _, s := range f.replicas {
		require.Eventually(f.tb, func() bool {
			s.listed(clientKey)
			return s.metric("sluice_replicas_peers") == float64(len(f.replicas)-1)
		}, patience, pollEvery)
	}
}

func (f *fleet) testList(t *testing.T) {
	var streams []*open
	var ids []string
	for i, s := range f.replicas {
		streams = append(streams, s.ask(fmt.Sprintf("listed-%d", i), true))
		ids = append(ids, streams[i].id)
	}
	for i, s := range f.replicas {
		require.Equal(t, ids, s.listed(clientKey), "replica %d", i)
		require.Equal(t, ids, s.listed(adminKey), "replica %d", i)
		for _, id := range ids {
			status, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
			require.Equal(t, http.StatusOK, status)
			require.Contains(t, string(body), `"status":"running"`)
		}
	}
	for range streams {
		f.release()
	}
	for _, o := range streams {
		o.requireWhole(t)
	}
	for _, s := range f.replicas {
		require.Eventually(t, func() bool { return len(s.listed(clientKey)) == 0 }, patience, pollEvery)
		for _, id := range ids {
			status, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
			require.Equal(t, http.StatusOK, status, "a record is that of all")
			require.Contains(t, string(body), `"outcome":"completed"`)
		}
	}
}

// takeSlots asks for as many streams as there may be: at once, unless a replica has died
// that had some.
func takeSlots(t *testing.T, replicas []*sluice) (streams []*open) {
	t.Helper()
	for i := range fleetStreams {
		require.Eventually(t, func() bool {
			o := replicas[i%len(replicas)].ask("", true)
			if o.status != http.StatusOK {
				return false
			}
			streams = append(streams, o)
			return true
		}, takeoverPatience, pollEvery)
	}
	return streams
}

func (f *fleet) testLimit(t *testing.T) {
	streams := takeSlots(t, f.replicas)
	for _, s := range f.replicas {
		o := s.ask("", true)
		require.Equal(t, http.StatusTooManyRequests, o.status, o.end(t))
	}
	f.release()
	last := f.replicas[1]
	var next *open
	require.Eventually(t, func() bool {
		next = last.ask("", true)
		return next.status == http.StatusOK
	}, patience, pollEvery)
	for range fleetStreams {
		f.release()
	}
	for _, o := range append(streams, next) {
		o.requireWhole(t)
	}
}

func (f *fleet) testCancel(t *testing.T) {
	holder, other, third := f.replicas[0], f.replicas[1], f.replicas[2]
	var took []time.Duration
	for i := range 50 {
		o := holder.ask(fmt.Sprintf("cancelled-%d", i), true)
		require.Equal(t, http.StatusOK, o.status)
		want := fmt.Sprintf(`{"id":"%s","status":"cancelled"}`, o.id)
		began := time.Now()
		status, body := other.cancelAt(o.id, clientKey)
		took = append(took, time.Since(began))
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, want, body)
		rest := o.end(t)
		require.Contains(t, rest, `"outcome":"cancelled"`)
		require.Contains(t, rest, "data: [DONE]")
		if i > 0 {
			continue
		}
		for _, s := range []*sluice{other, third, holder} {
			status, body := s.cancelAt(o.id, adminKey)
			require.Equal(t, http.StatusOK, status)
			require.JSONEq(t, want, body, "everybody gives the same answer, again and again")
		}
	}
	slices.Sort(took)
	t.Logf("cancel at another replica: p50 %s, p99 %s", took[len(took)/2], took[len(took)*99/100])
	status, _ := other.cancelAt("nobody-knows-this", clientKey)
	require.Equal(t, http.StatusNotFound, status)
}

func (f *fleet) testStrangers(t *testing.T) {
	o := f.replicas[0].ask("", true)
	for i, s := range f.replicas {
		require.Empty(t, s.listed(neighbourKey), "replica %d", i)
		status, _ := s.call(http.MethodGet, "/v1/requests/"+o.id, neighbourKey)
		require.Equal(t, http.StatusNotFound, status, "replica %d", i)
		status, _ = s.cancelAt(o.id, neighbourKey)
		require.Equal(t, http.StatusNotFound, status, "replica %d", i)
	}
	f.release()
	o.requireWhole(t)
	for i, s := range f.replicas {
		status, _ := s.call(http.MethodGet, "/v1/requests/"+o.id, neighbourKey)
		require.Equal(t, http.StatusNotFound, status, "replica %d", i)
	}
}

func (f *fleet) testKill(t *testing.T) {
	dying, survivors := f.replicas[0], f.replicas[1:]
	var lost []*open
	for range fleetStreams {
		o := dying.ask("", true)
		require.Equal(t, http.StatusOK, o.status)
		lost = append(lost, o)
	}
	dying.kill()
	refused := survivors[0].ask("", true)
	require.Equal(t, http.StatusTooManyRequests, refused.status, "its lease is not over")
	streams := takeSlots(t, survivors)
	for _, s := range survivors {
		for _, o := range lost {
			require.Eventually(t, func() bool {
				status, body := s.call(http.MethodGet, "/v1/requests/"+o.id, clientKey)
				return status == http.StatusOK && containsAll(string(body), []string{`"outcome":"crash"`})
			}, takeoverPatience, pollEvery)
		}
	}
	for range streams {
		f.release()
	}
	for _, o := range streams {
		o.requireWhole(t)
	}
}

// Whatever becomes of the links to Redis and PostgreSQL: who has no hard budget is served,
// streams come to their end, and the records arrive when the links are back.
// row D4
func TestReplicasLiveThroughFaultsOfTheirLinks(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2)
	f.awaitEachOther()
	asked := 0
	for _, link := range []struct {
		name, refusal string
		is            interface {
			Stall()
			Resume()
			Reset()
			Refuse()
			Accept(testing.TB)
		}
	}{{"Redis", "limits_unavailable", f.redis}, {"PostgreSQL", "ledger_unavailable", f.postgres}} {
		for _, fault := range []struct {
			name       string
			lasts      bool
			begin, end func()
		}{
			{"stalls", true, link.is.Stall, link.is.Resume},
			{"is reset", false, link.is.Reset, func() {}},
			{"refuses", true, link.is.Refuse, func() { link.is.Accept(t) }},
		} {
			t.Run(link.name+" "+fault.name, func(t *testing.T) {
				s := f.replicas[0]
				before := s.ask("", true)
				require.Equal(t, http.StatusOK, before.status)
				fault.begin()
				during := s.ask("", true)
				require.Equal(t, http.StatusOK, during.status, "who has no hard budget is served")
				whole := s.ask("", false)
				require.Equal(t, http.StatusOK, whole.status, whole.end(t))
				if fault.lasts {
					require.Eventually(t, func() bool {
						o := s.askAs(frugalKey, "", false)
						refusal := o.end(t)
						if o.status == http.StatusOK {
							asked++
						}
						return o.status == http.StatusServiceUnavailable && containsAll(refusal, []string{link.refusal})
					}, patience, pollEvery, "who has a hard budget is refused")
				}
				f.release()
				f.release()
				before.requireWhole(t)
				during.requireWhole(t)
				fault.end()
				require.Eventually(t, func() bool {
					o := s.askAs(frugalKey, "", false)
					o.end(t)
					if o.status == http.StatusOK {
						asked++
					}
					return o.status == http.StatusOK
				}, patience, pollEvery, "who has a hard budget is served again")
				for _, o := range []*open{before, during, whole} {
					asked++
					require.Eventually(t, func() bool {
						status, body := f.replicas[1].call(http.MethodGet, "/v1/requests/"+o.id, clientKey)
						return status == http.StatusOK && containsAll(string(body), []string{`"outcome":"completed"`})
					}, takeoverPatience, pollEvery, "the record reaches the shared books")
				}
			})
		}
	}
	f.awaitEachOther()
	f.testLimit(t)
	asked += fleetStreams + 1
	f.requireBooks(map[string]int{"completed": asked})
}

// requireBooks waits until no intent is open and holds the rows against what there must be.
func (f *fleet) requireBooks(want map[string]int) {
	f.tb.Helper()
	db, err := sql.Open("pgx", f.ledger)
	require.NoError(f.tb, err)
	defer func() { _ = db.Close() }()
	require.Eventually(f.tb, func() bool {
		var n int
		return db.QueryRow(`SELECT count(*) FROM intents`).Scan(&n) == nil && n == 0
	}, takeoverPatience, pollEvery, "an intent stays open")
	rows, err := db.Query(`SELECT outcome, count(*) FROM exchanges GROUP BY outcome`)
	require.NoError(f.tb, err)
	defer func() { _ = rows.Close() }()
	got := make(map[string]int)
	for rows.Next() {
		var outcome string
		var n int
		require.NoError(f.tb, rows.Scan(&outcome, &n))
		got[outcome] = n
	}
	require.NoError(f.tb, rows.Err())
	require.Equal(f.tb, want, got)
}
