package accounting

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func begin(t *testing.T, l Ledger, r *Record) {
	t.Helper()
	require.NoError(t, l.Begin(Intent{UID: r.UID, ID: r.ID}).Err())
}

// recordOf is a record of a new exchange.
func recordOf(id string) *Record { return &Record{UID: NewUID(), ID: id} }

func finish(t *testing.T, l Ledger, r *Record) {
	t.Helper()
	require.NoError(t, l.Finish(r).Err())
}

func get(l Ledger, id string) (*Record, bool) { return l.Get(context.Background(), id) }

func ids(records []*Record) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = r.ID
	}
	return out
}

func TestExchangeFinishesExactlyOnce(t *testing.T) {
	m := NewMemory(4)
	first := recordOf("a")
	begin(t, m, first)
	_, found := get(m, "a")
	require.False(t, found, "an open exchange has no record yet")

	finish(t, m, first)
	again := *first
	again.Outcome = OutcomeClientGone
	require.ErrorIs(t, m.Finish(&again).Err(), ErrAlreadyFinished)

	got, found := get(m, "a")
	require.True(t, found)
	require.Same(t, first, got)
	require.Equal(t, 1, m.Len())
}

func TestRetriesBeginAgainAndFinishOnce(t *testing.T) {
	m := NewMemory(4)
	r := recordOf("a")
	begin(t, m, r)
	begin(t, m, r)
	finish(t, m, r)
	require.ErrorIs(t, m.Finish(r).Err(), ErrAlreadyFinished)
}

func TestFinishWithoutBeginCounts(t *testing.T) {
	m := NewMemory(4)
	r := recordOf("a")
	finish(t, m, r)
	require.ErrorIs(t, m.Finish(r).Err(), ErrAlreadyFinished)
}

func TestClientMayUseItsIDAgain(t *testing.T) {
	m := NewMemory(4)
	first, second := recordOf("a"), recordOf("a")
	finish(t, m, first)
	finish(t, m, second)

	got, _ := get(m, "a")
	require.Same(t, second, got, "the latest answers for the id")
	require.Equal(t, []*Record{second, first}, m.Recent(0))
}

func TestAnAmendedRecordTakesThePlaceOfTheFirst(t *testing.T) {
	m := NewMemory(2)
	first := recordOf("a")
	finish(t, m, first)
	amended := *first
	amended.Delivered = true
	require.NoError(t, m.Amend(&amended).Err())
	got, _ := get(m, "a")
	require.Same(t, &amended, got)
	require.Equal(t, 1, m.Len())
	require.NoError(t, m.Amend(recordOf("b")).Err(), "one that has been forgotten is not missed")
	require.Equal(t, 1, m.Len())
}

func TestForgettingAnOldRecordKeepsALaterOneOfTheSameID(t *testing.T) {
	m := NewMemory(2)
	second := recordOf("a")
	finish(t, m, recordOf("a"))
	finish(t, m, second)
	finish(t, m, recordOf("b"))
	got, found := get(m, "a")
	require.True(t, found)
	require.Same(t, second, got)
}

func TestRingKeepsTheLastRecordsNewestFirst(t *testing.T) {
	for _, capacity := range []int{1, 3, memoryBlock - 1, memoryBlock, memoryBlock + 1, 2*memoryBlock + 7} {
		m := NewMemory(capacity)
		require.Empty(t, m.Recent(10))
		total := 2*capacity + 1
		for i := range total {
			finish(t, m, recordOf(strconv.Itoa(i)))
		}
		require.Equal(t, capacity, m.Len())
		recent := m.Recent(0)
		require.Len(t, recent, capacity)
		for i, r := range recent {
			require.Equal(t, strconv.Itoa(total-1-i), r.ID)
		}
		require.Equal(t, ids(recent[:1]), ids(m.Recent(1)))
		require.Len(t, m.Recent(10*capacity), capacity)

		_, found := get(m, strconv.Itoa(total-capacity-1))
		require.False(t, found, "capacity %d: the one before the last ones is forgotten", capacity)
		_, found = get(m, strconv.Itoa(total-capacity))
		require.True(t, found)
		require.Len(t, m.byID, capacity, "the index is as bounded as the ring")
	}
}

func TestRecordsWithoutIDAreRefused(t *testing.T) {
	m := NewMemory(1)
	require.ErrorIs(t, m.Begin(Intent{}).Err(), ErrNoID)
	require.ErrorIs(t, m.Finish(&Record{}).Err(), ErrNoID)
	require.ErrorIs(t, m.Finish(nil).Err(), ErrNoID)
}

func TestClosedLedgerStaysReadable(t *testing.T) {
	m := NewMemory(2)
	finish(t, m, recordOf("a"))
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	require.ErrorIs(t, m.Begin(Intent{UID: NewUID()}).Err(), ErrLedgerClosed)
	require.ErrorIs(t, m.Finish(recordOf("b")).Err(), ErrLedgerClosed)
	_, found := get(m, "a")
	require.True(t, found)
	require.Len(t, m.Recent(5), 1)
}

func TestLedgerLetsGoOfBorrowedBuffers(t *testing.T) {
	raw := make([]byte, 0, 1<<16)
	raw = append(raw, `{"a":1}`...)
	r := recordOf("a")
	r.RawUsage, r.Warnings = raw, make([]string, 1, 100)
	m := NewMemory(1)
	finish(t, m, r)
	copy(raw, "overwritten")
	got, _ := get(m, "a")
	require.JSONEq(t, `{"a":1}`, string(got.RawUsage))
	require.Less(t, cap(got.RawUsage), 64)
	require.Equal(t, 1, cap(got.Warnings))
}

func TestOneFinishWinsWhateverRaces(t *testing.T) {
	const exchanges, racers = 300, 4
	m := NewMemory(exchanges)
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for i := range exchanges {
		id := strconv.Itoa(i)
		r := recordOf(id)
		begin(t, m, r)
		for range racers {
			wg.Go(func() {
				if err := m.Finish(r).Err(); err == nil {
					won.Add(1)
				} else {
					lost.Add(1)
				}
				get(m, id)
				m.Recent(3)
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, exchanges, won.Load())
	require.EqualValues(t, exchanges*(racers-1), lost.Load())
	require.Equal(t, exchanges, m.Len())
}

func typicalRecord(i int) *Record {
	r := fullRecord()
	r.UID = NewUID()
	r.ID = fmt.Sprintf("0192f3c4-5b6a-7c8d-9e0f-%012d", i)
	r.Start = time.Now()
	r.ToolCalls, r.Warnings = nil, nil
	r.Attempts[0].ID = r.ID + ".1"
	r.RawUsage = []byte(`{"prompt_tokens":1024,"completion_tokens":256,"total_tokens":1280,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`)
	return r
}

func TestTenThousandRecordsStayModest(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	m := NewMemory(0)
	idle := int64(heap() - before)
	for i := range DefaultMemoryRecords {
		finish(t, m, typicalRecord(i))
	}
	perRecord := int64(heap()-before) / DefaultMemoryRecords
	t.Logf("idle ledger %d bytes, %d bytes a record", idle, perRecord)
	require.Less(t, perRecord, int64(2048))
	require.Less(t, idle, int64(16<<10))
	require.Equal(t, DefaultMemoryRecords, m.Len())
	runtime.KeepAlive(m)
}

func BenchmarkMemoryFinish(b *testing.B) {
	m := NewMemory(0)
	records := make([]*Record, b.N)
	for i := range records {
		records[i] = typicalRecord(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, r := range records {
		if err := m.Finish(r).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
