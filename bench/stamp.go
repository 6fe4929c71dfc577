//go:build linux

package main

// A stamp is the text of one content delta: six digits of sequence number, an at
// sign, the wall clock as 19 digits of UnixNano when the mock handed the delta to
// the kernel, and a semicolon. Its width is fixed so that the mock can patch it
// into a prepared frame; it survives a proxy that writes the JSON anew, and on one
// machine it gives the one-way latency of every delta.
const (
	stampDigits = 6
	clockDigits = 19
	stampLength = stampDigits + 1 + clockDigits + 1
	maxChunks   = 1_000_000
)

// putStamp writes a stamp over the first stampLength bytes of dst.
func putStamp(dst []byte, number int, sent int64) {
	putDigits(dst[:stampDigits], int64(number))
	dst[stampDigits] = '@'
	putDigits(dst[stampDigits+1:stampLength-1], sent)
	dst[stampLength-1] = ';'
}

// readStamp reads the stamp that text begins with.
func readStamp(text string) (number int, sent int64, ok bool) {
	if len(text) < stampLength || text[stampDigits] != '@' || text[stampLength-1] != ';' {
		return 0, 0, false
	}
	n, ok := readDigits(text[:stampDigits])
	if !ok {
		return 0, 0, false
	}
	sent, ok = readDigits(text[stampDigits+1 : stampLength-1])
	return int(n), sent, ok
}

func putDigits(dst []byte, v int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

func readDigits(text string) (v int64, ok bool) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		v = v*10 + int64(text[i]-'0')
	}
	return v, true
}
