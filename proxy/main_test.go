package proxy

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp keeps the time for its Date headers in one goroutine for the process.
const dateClock = "github.com/valyala/fasthttp.updateServerDate.func1"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(dateClock)) }
