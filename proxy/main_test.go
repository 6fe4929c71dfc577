package proxy

import (
	"testing"

	"go.uber.org/goleak"
)

const (
	// fasthttp keeps the time for its Date headers in one goroutine for the process.
	dateClock = "github.com/valyala/fasthttp.updateServerDate.func1"
	// A stopped server of fasthttp, as the admin listener is one, sleeps for up to
	// ten seconds before it sees that it was stopped.
	stoppedServer = "github.com/valyala/fasthttp.(*workerPool).Start.func2"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(dateClock), goleak.IgnoreAnyFunction(stoppedServer))
}
