//go:build e2e

// Package e2e drives the real sluice binary with real clients: the SDKs that people
// use, in processes of their own, curl and Prometheus. The upstream is a scripted
// provider in the test's process, so a test can hold three views side by side: what
// the client saw, what the upstream saw on its socket, and what sluice recorded.
//
// The tests have the build tag e2e and need what the SDK scripts import:
//
//	python3 -m venv e2e/sdk/python/.venv
//	e2e/sdk/python/.venv/bin/pip install -r e2e/sdk/python/requirements.txt
//	npm ci --prefix e2e/sdk/node
//	go test -tags e2e ./e2e/...
//
// With SLUICE_E2E_RACE=1 the binary is built with the race detector.
package e2e
