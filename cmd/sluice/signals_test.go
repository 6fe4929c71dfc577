package main

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFirstSignalDrainsAndSecondEnds(t *testing.T) {
	signals := make(chan os.Signal)
	stop := stepThrough(t.Context(), signals)
	require.NoError(t, stop.drain.Err())

	signals <- syscall.SIGTERM
	<-stop.drain.Done()
	require.NoError(t, stop.now.Err())

	signals <- syscall.SIGTERM
	<-stop.now.Done()
	stop.release()
}

func TestEndOfTheProgramContextDrainsWithoutCuttingShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := stepThrough(ctx, make(chan os.Signal))
	cancel()
	<-stop.drain.Done()
	require.NoError(t, stop.now.Err())
	stop.release()
	require.Error(t, stop.now.Err())
}

func TestSecondSignalEndsADrainThatTheContextBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	signals := make(chan os.Signal)
	stop := stepThrough(ctx, signals)
	defer stop.release()
	cancel()
	<-stop.drain.Done()
	signals <- os.Interrupt
	signals <- os.Interrupt
	<-stop.now.Done()
}
