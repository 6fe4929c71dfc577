// Command sluice is a streaming reverse proxy for LLM APIs.
//
// Exit codes: 0 for success, 1 for a configuration or a command line that
// cannot be used (and for an unhealthy healthcheck), 2 for a failure at run time.
package main

import (
	"context"
	"os"
)

func main() {
	spareProcessor(os.LookupEnv)
	limitMemory(os.LookupEnv)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
}
