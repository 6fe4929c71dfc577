//go:build linux

package main

import "math/rand/v2"

// fault is what an upstream does wrong in a call.
type fault int

// The faults.
const (
	faultNone fault = iota
	resetBeforeHead
	closeBeforeHead
	stallBeforeHead // until sluice gives up
	garbage         // instead of HTTP
	html            // with status 200
	wrongJSON       // with status 200
	status429
	status503
	status529
	status500
	resetAfterHead
	stallAfterHead
	errorEventFirst
	resetInside
	closeInside
	stallInside
	errorEventInside
	cleanCut // the framing ends well, the answer does not
	badChunk // a chunk size that is none
	leftover // an answer to nobody behind the own one
	faults
)

// misdeed says what a fault is.
type misdeed struct {
	name          string
	stream, whole bool // where it may happen
	weight        int
	outcomes      []string // that an exchange may have because of it
}

const (
	outcomeCompleted = "completed"
	outcomeGone      = "client_gone"
	outcomeCancelled = "cancelled"
	outcomeError     = "upstream_error"
	outcomeTruncated = "upstream_truncated"
	outcomeTimeout   = "upstream_timeout"
)

var misdeeds = [faults]misdeed{
	faultNone:        {name: "none"},
	resetBeforeHead:  {name: "reset before the head", stream: true, whole: true, weight: 3, outcomes: []string{outcomeError}},
	closeBeforeHead:  {name: "closed before the head", stream: true, whole: true, weight: 3, outcomes: []string{outcomeError}},
	stallBeforeHead:  {name: "silence before the head", stream: true, whole: true, weight: 1, outcomes: []string{outcomeTimeout}},
	garbage:          {name: "no HTTP", stream: true, whole: true, weight: 2, outcomes: []string{outcomeError}},
	html:             {name: "HTML with 200", stream: true, whole: true, weight: 2, outcomes: []string{outcomeError}},
	wrongJSON:        {name: "wrong JSON with 200", whole: true, weight: 2, outcomes: []string{outcomeError}}, // or it is passed on
	status429:        {name: "429", stream: true, whole: true, weight: 5, outcomes: []string{outcomeError}},
	status503:        {name: "503", stream: true, whole: true, weight: 5, outcomes: []string{outcomeError}},
	status529:        {name: "529", stream: true, whole: true, weight: 2, outcomes: []string{outcomeError}},
	status500:        {name: "500", stream: true, whole: true, weight: 2, outcomes: []string{outcomeError}},
	resetAfterHead:   {name: "reset after the head", stream: true, whole: true, weight: 3, outcomes: []string{outcomeError, outcomeTruncated}},
	stallAfterHead:   {name: "silence after the head", stream: true, weight: 1, outcomes: []string{outcomeTimeout}},
	errorEventFirst:  {name: "error event first", stream: true, weight: 3, outcomes: []string{outcomeError}},
	resetInside:      {name: "reset inside", stream: true, whole: true, weight: 3, outcomes: []string{outcomeError, outcomeTruncated}},
	closeInside:      {name: "closed inside", stream: true, whole: true, weight: 4, outcomes: []string{outcomeTruncated}},
	stallInside:      {name: "silence inside", stream: true, whole: true, weight: 1, outcomes: []string{outcomeTimeout}},
	errorEventInside: {name: "error event inside", stream: true, weight: 3, outcomes: []string{outcomeError}},
	cleanCut:         {name: "cut at a clean end", stream: true, weight: 4, outcomes: []string{outcomeTruncated}},
	badChunk:         {name: "wrong chunk size", stream: true, weight: 2, outcomes: []string{outcomeError, outcomeTruncated}},
	leftover:         {name: "an answer too many", stream: true, whole: true, weight: 3, outcomes: []string{outcomeCompleted}},
}

// randomFault is one that may happen to such an answer.
func randomFault(random *rand.Rand, stream bool) fault {
	sum := 0
	for _, m := range misdeeds {
		sum += m.weightFor(stream)
	}
	at := random.IntN(sum)
	for f, m := range misdeeds {
		if at -= m.weightFor(stream); at < 0 {
			return fault(f)
		}
	}
	return faultNone
}

func (m misdeed) weightFor(stream bool) int {
	if stream && m.stream || !stream && m.whole {
		return m.weight
	}
	return 0
}
