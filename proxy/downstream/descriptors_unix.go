//go:build unix

package downstream

import "golang.org/x/sys/unix"

// plentyDescriptors stands for a limit that is none in practice.
const plentyDescriptors = 1 << 24

// maxDescriptors is how many files this process may have open, 0 if unknown.
func maxDescriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if limit.Cur > plentyDescriptors {
		return plentyDescriptors
	}
	return int(limit.Cur)
}
