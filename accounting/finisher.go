package accounting

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// DefaultFinisherQueue is the length of the queue of NewFinisher.
const DefaultFinisherQueue = 1024

// defaultFinisherWorkers leaves half of the processors to the forwarding of streams.
func defaultFinisherWorkers() int { return max(runtime.GOMAXPROCS(0)/2, 1) }

// Finisher runs the work that follows an exchange (counting tokens, metrics,
// the ledger) away from the goroutines that forward bytes. No job is ever
// dropped: when the queue is full, or after Close, Submit runs it itself.
//
// Its goroutines end with Close.
type Finisher struct {
	mu      sync.RWMutex // held for reading while sending, so Close never races a send
	closed  bool
	jobs    chan func()
	urgent  chan func() // go before the others
	workers sync.WaitGroup
	onPanic func(stack []byte)
}

// NewFinisher starts the workers. Zero or less means the default: a queue of
// DefaultFinisherQueue, and a worker for every two processors. onPanic, if
// not nil, is told the stack of a job that panicked; the value of the panic is
// withheld, because it may quote what the job was working on. It may be called
// from several goroutines.
func NewFinisher(queue, workers int, onPanic func(stack []byte)) *Finisher {
	if queue <= 0 {
		queue = DefaultFinisherQueue
	}
	if workers <= 0 {
		workers = defaultFinisherWorkers()
	}
	f := &Finisher{jobs: make(chan func(), queue), urgent: make(chan func(), queue), onPanic: onPanic}
	for range workers {
		f.workers.Go(f.work)
	}
	return f
}

// Submit hands over a job. It does not wait for the job, unless there is no
// room left: then it runs the job before it returns.
func (f *Finisher) Submit(job func()) {
	if !f.enqueue(f.jobs, job) {
		f.run(job)
	}
}

// SubmitUrgent is Submit for a job that a client waits for: it goes before the others.
func (f *Finisher) SubmitUrgent(job func()) {
	if !f.enqueue(f.urgent, job) {
		f.run(job)
	}
}

func (f *Finisher) enqueue(queue chan func(), job func()) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return false
	}
	select {
	case queue <- job:
		return true
	default:
		return false
	}
}

// Waiting returns how many jobs are in the queue.
func (f *Finisher) Waiting() int { return len(f.jobs) + len(f.urgent) }

// Close runs what is queued and returns when the last worker has ended. It
// must not be called from a job. A second call waits for the first.
func (f *Finisher) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.jobs)
		close(f.urgent)
	}
	f.mu.Unlock()
	f.workers.Wait()
}

func (f *Finisher) work() {
	urgent, jobs := f.urgent, f.jobs
	for urgent != nil || jobs != nil {
		select { // without a look at the others
		case job, open := <-urgent:
			urgent = f.take(urgent, job, open)
			continue
		default:
		}
		select {
		case job, open := <-urgent:
			urgent = f.take(urgent, job, open)
		case job, open := <-jobs:
			jobs = f.take(jobs, job, open)
		}
	}
}

// take runs a job that came from a queue, and returns the queue, nil once it has ended.
func (f *Finisher) take(queue chan func(), job func(), open bool) chan func() {
	if !open {
		return nil
	}
	f.run(job)
	return queue
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
