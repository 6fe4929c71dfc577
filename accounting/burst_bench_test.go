package accounting

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A thousand streams with prompts of a MiB are cut at once, and one more ends behind
// them. The numbers are how long that one's record waits, how long all take, and how much
// memory the counting holds at most. Kept whole, the prompts themselves would be a GiB.
func BenchmarkBurstOfCutStreams(b *testing.B) {
	body := mixedPrompt(1<<20, 1)
	answer := OutputText{Content: []byte("hello world"), TotalBytes: 11}
	for name, keep := range map[string]func(*Estimator) func(){
		"whole": func(e *Estimator) func() {
			return func() { e.Estimate("gpt-4o", "chat", body, answer, Bounds{}) }
		},
		"sketch": func(e *Estimator) func() {
			s := e.Sketch("gpt-4o", "chat", body)
			return func() { e.EstimateSketch(s, answer, Bounds{}) }
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				burst(b, keep)
			}
		})
	}
}

func burst(b *testing.B, keep func(*Estimator) func()) {
	b.Helper()
	f := NewFinisher(0, 0, nil)
	e := Estimator{Waiting: f.Waiting}
	e.Text("gpt-4o", "load the vocabulary")
	jobs := make([]func(), 1000)
	before := heap()
	for i := range jobs {
		jobs[i] = keep(&e)
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-kept")
	begin := time.Now()
	var peak atomic.Int64
	for _, job := range jobs {
		f.Submit(func() {
			job()
			if now := heap() - before; now > peak.Load() {
				peak.Store(now)
			}
		})
	}
	bystander := make(chan struct{})
	f.Submit(func() { close(bystander) })
	<-bystander
	b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-bystander")
	f.Close()
	b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-all")
	b.ReportMetric(float64(peak.Load())/(1<<20), "MiB-peak")
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
