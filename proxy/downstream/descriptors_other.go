//go:build !unix

package downstream

// maxDescriptors is not known here.
func maxDescriptors() int { return 0 }
