package config

import "time"

// Retry bounds how often an exchange calls upstream.
type Retry struct {
	Attempts      int      `yaml:"attempts" min:"1" max:"10" doc:"Most upstream calls for one request, the first included. 1 never makes another."`
	SameTarget    int      `yaml:"same_target" min:"0" max:"5" doc:"How often a target may be asked again once all others have been asked. 0 leaves that to the client."`
	Within        Duration `yaml:"within" doc:"No further call begins later than this after the request came."`
	Backoff       Duration `yaml:"backoff" doc:"Pause before a target is asked again; it doubles each time and is jittered. A longer Retry-After of the provider counts instead."`
	MaxRetryAfter Duration `yaml:"max_retry_after" doc:"A provider that asks for a longer pause is not waited for."`
	// Budget is a share of all requests, in percent.
	Budget int `yaml:"budget" min:"0" max:"100" doc:"Further calls that a model may make, in percent of its requests; some are always allowed. It keeps a provider that fails from being asked twice as often."`
}

// Breaker says when a target counts as broken.
type Breaker struct {
	Failures int      `yaml:"failures" min:"1" max:"1000" doc:"Failures in a row after which a target counts as broken. What clients do, and answers with 4xx, are no failures."`
	Open     Duration `yaml:"open" doc:"How long it is left alone then; after that a single request tries it."`
}

// Queue bounds the wait for a target.
type Queue struct {
	Max  int      `yaml:"max" min:"0" max:"100000" doc:"Requests that may wait for one target. Others get 503 with Retry-After, or the next target."`
	Wait Duration `yaml:"wait" doc:"Longest wait."`
}

func (r *Retry) setDefaults() {
	*r = Retry{
		Attempts: 3, Within: Duration(30 * time.Second), Backoff: Duration(250 * time.Millisecond),
		MaxRetryAfter: Duration(10 * time.Second), Budget: 20,
	}
}

func (b *Breaker) setDefaults() { *b = Breaker{Failures: 5, Open: Duration(15 * time.Second)} }

func (q *Queue) setDefaults() { *q = Queue{Max: 100, Wait: Duration(30 * time.Second)} }

// routing refuses zeros that could be read as no limit or as never.
func (k *checker) routing() {
	if k.Retry.Within == 0 {
		k.add("retry.within", "must be more than 0; attempts: 1 makes no further call")
	}
	if k.Breaker.Open == 0 {
		k.add("breaker.open", "must be more than 0")
	}
	if k.Queue.Wait == 0 {
		k.add("queue.wait", "must be more than 0; max: 0 lets nobody wait")
	}
	if most := k.Limits.Bodies; most != 0 && most < 2*k.Limits.MaxBody {
		k.add("limits.bodies", "%s is less than twice max_body (%s), so the largest body would never be let in",
			k.show("limits.bodies", most.String()), k.Limits.MaxBody)
	}
}
