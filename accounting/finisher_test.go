package accounting

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFinisherRunsJobsInOrderAwayFromTheCaller(t *testing.T) {
	f := NewFinisher(0, 1, nil)
	release := make(chan struct{})
	var order []int
	f.Submit(func() { <-release }) // Submit returns while the job still runs
	for i := range 10 {
		f.Submit(func() { order = append(order, i) })
	}
	close(release)
	f.Close()
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
}

func TestFullFinisherRunsTheJobInline(t *testing.T) {
	f := NewFinisher(1, 1, nil)
	started, release := make(chan struct{}), make(chan struct{})
	f.Submit(func() { close(started); <-release })
	<-started
	queued := false
	f.Submit(func() { queued = true })
	require.Equal(t, 1, f.Waiting())
	inline := false
	f.Submit(func() { inline = true })
	require.True(t, inline, "no room: the caller ran it before Submit returned")
	close(release)
	f.Close()
	require.True(t, queued, "Close ran what was queued")
}

func TestClosedFinisherDropsNothing(t *testing.T) {
	f := NewFinisher(4, 2, nil)
	f.Close()
	f.Close()
	ran := false
	f.Submit(func() { ran = true })
	require.True(t, ran)
}

func TestPanickingJobHarmsNoOther(t *testing.T) {
	var stacks []string
	f := NewFinisher(4, 1, func(stack []byte) { stacks = append(stacks, string(stack)) })
	ran := false
	f.Submit(func() { panic("canary prompt") })
	f.Submit(func() { ran = true })
	f.Close()
	require.True(t, ran)
	require.Len(t, stacks, 1)
	require.Contains(t, stacks[0], "finisher")
	require.NotContains(t, stacks[0], "canary")

	quiet := NewFinisher(4, 1, nil)
	quiet.Submit(func() { panic("nobody listens") })
	quiet.Close()
}

func TestSubmitRacingWithCloseLosesNoJob(t *testing.T) {
	for range 50 {
		f := NewFinisher(2, 2, nil)
		var ran atomic.Int64
		var submitters sync.WaitGroup
		for range 4 {
			submitters.Go(func() {
				for range 25 {
					f.Submit(func() { ran.Add(1) })
				}
			})
		}
		f.Close()
		submitters.Wait()
		require.EqualValues(t, 100, ran.Load())
	}
}

func TestUrgentJobsGoFirst(t *testing.T) {
	f := NewFinisher(16, 1, nil)
	begun, hold := make(chan struct{}), make(chan struct{})
	f.Submit(func() { close(begun); <-hold })
	<-begun
	var order []string
	for range 5 {
		f.Submit(func() { order = append(order, "later") })
		f.SubmitUrgent(func() { order = append(order, "first") })
	}
	require.Equal(t, 10, f.Waiting())
	close(hold)
	f.Close()
	require.Equal(t, []string{"first", "first", "first", "first", "first", "later", "later", "later", "later", "later"}, order)
}
