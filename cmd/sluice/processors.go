package main

import "runtime"

// spareProcessor lets Go's scheduler use one processor less than there are, unless
// GOMAXPROCS says otherwise. A proxy mostly waits. With a processor to spare, the
// scheduler wakes it for events that the busy one would have dealt with by the time it
// has found that out; see docs/design/008-leave-a-processor.md.
func spareProcessor(getenv func(string) (string, bool)) {
	if _, set := getenv("GOMAXPROCS"); !set {
		runtime.GOMAXPROCS(processors(runtime.GOMAXPROCS(0)))
	}
}

// processors is how many of the usable ones to use.
func processors(usable int) int { return max(usable-1, 1) }
