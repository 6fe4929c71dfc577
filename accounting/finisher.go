package accounting

import (
	"runtime/debug"
	"sync"
)

// Defaults of NewFinisher.
const (
	DefaultFinisherQueue   = 1024
	DefaultFinisherWorkers = 1
)

// Finisher runs the work that follows an exchange (counting tokens, metrics,
// the ledger) away from the goroutines that forward bytes. No job is ever
// dropped: when the queue is full, or after Close, Submit runs it itself.
//
// Its goroutines end with Close.
type Finisher struct {
	mu      sync.RWMutex // held for reading while sending, so Close never races a send
	closed  bool
	jobs    chan func()
	workers sync.WaitGroup
	onPanic func(stack []byte)
}

// NewFinisher starts the workers. Zero or less means the default. onPanic, if
// not nil, is told the stack of a job that panicked; the value of the panic is
// withheld, because it may quote what the job was working on. It may be called
// from several goroutines.
func NewFinisher(queue, workers int, onPanic func(stack []byte)) *Finisher {
	if queue <= 0 {
		queue = DefaultFinisherQueue
	}
	if workers <= 0 {
		workers = DefaultFinisherWorkers
	}
	f := &Finisher{jobs: make(chan func(), queue), onPanic: onPanic}
	for range workers {
		f.workers.Go(f.work)
	}
	return f
}

// Submit hands over a job. It does not wait for the job, unless there is no
// room left: then it runs the job before it returns.
func (f *Finisher) Submit(job func()) {
	if !f.enqueue(job) {
		f.run(job)
	}
}

func (f *Finisher) enqueue(job func()) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return false
	}
	select {
	case f.jobs <- job:
		return true
	default:
		return false
	}
}

// Close runs what is queued and returns when the last worker has ended. It
// must not be called from a job. A second call waits for the first.
func (f *Finisher) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.jobs)
	}
	f.mu.Unlock()
	f.workers.Wait()
}

func (f *Finisher) work() {
	for job := range f.jobs {
		f.run(job)
	}
}

// run keeps a panic inside its job: one bad record must not end the process
// nor the worker that the next records need.
func (f *Finisher) run(job func()) {
	defer func() {
		if recover() != nil && f.onPanic != nil {
			f.onPanic(debug.Stack())
		}
	}()
	job()
}
