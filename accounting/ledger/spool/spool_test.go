package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// entries are payloads of various sizes.
func entries(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, random.IntN(40))
	}
	return out
}

func appendAll(t *testing.T, s *Spool, payloads [][]byte) {
	t.Helper()
	for i, payload := range payloads {
		require.NoError(t, s.Append(uint64(i+1), [][]byte{payload}))
	}
}

// readAll reads what a spool has.
func readAll(t *testing.T, s *Spool) [][]byte {
	t.Helper()
	s.Seal()
	var out [][]byte
	for _, segment := range s.Segments() {
		r, err := segment.Open()
		require.NoError(t, err)
		out = append(out, readEntries(t, r)...)
		require.NoError(t, r.Close())
	}
	return out
}

func readEntries(t *testing.T, r *Reader) (out [][]byte) {
	t.Helper()
	for {
		payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, payload)
	}
}

func TestSpoolKeepsEntriesInTheirOrder(t *testing.T) {
	s := New(t.TempDir(), "a")
	want := entries(100)
	for i := 0; i < len(want); i += 10 {
		require.NoError(t, s.Append(uint64(i), want[i:i+10]))
		if i%30 == 0 {
			s.Seal()
		}
	}
	require.Equal(t, want, readAll(t, s))
	require.Len(t, s.Segments(), 4)
	require.EqualValues(t, 30, s.Segments()[1].Last())
	require.NoError(t, s.Close())
}

func TestSpoolLeavesNothingBehindWhenItIsEmpty(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, "a")
	require.NoError(t, s.Close())
	s = New(dir, "a")
	appendAll(t, s, entries(3))
	require.Positive(t, s.Size())
	s.Seal()
	for _, segment := range s.Segments() {
		require.Equal(t, s.Size(), segment.Size())
		s.Drop(segment)
		require.NoError(t, segment.Delete())
		require.NoError(t, segment.Delete(), "it is gone already")
	}
	require.Zero(t, s.Size())
	require.NoError(t, s.Close())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSpoolOfADeadProcessIsFound(t *testing.T) {
	dir := t.TempDir()
	alive, dead := New(dir, "alive"), New(dir, "dead")
	want := entries(20)
	appendAll(t, alive, entries(1))
	appendAll(t, dead, want)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "other"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dead", "other"), nil, 0o600))
	found, err := Abandoned(dir)
	require.NoError(t, err)
	require.Empty(t, found, "both live")

	require.NoError(t, dead.lock.Unlock()) // as the system does at its end
	found, err = Abandoned(dir)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, dead.Size(), found[0].Size())
	twice, err := Abandoned(dir)
	require.NoError(t, err)
	require.Empty(t, twice, "it belongs to the one that has found it")
	require.Equal(t, want, readAll(t, found[0]))
	for _, segment := range found[0].Segments() {
		found[0].Drop(segment)
		require.NoError(t, segment.Delete())
	}
	require.NoError(t, found[0].Close())
	found, err = Abandoned(dir)
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, alive.Close())
}

func TestFolderThatIsNotThereHasNoSpools(t *testing.T) {
	found, err := Abandoned(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = Abandoned("")
	require.NoError(t, err)
	require.Empty(t, found)
	require.ErrorIs(t, New("", "a").Append(1, entries(1)), ErrNoFolder)
}

func TestLargeSpoolIsInSeveralFiles(t *testing.T) {
	s := New(t.TempDir(), "a")
	var want [][]byte
	for i := range 10 {
		payload := bytes.Repeat([]byte{byte(i)}, maxSegment/3)
		want = append(want, payload)
		require.NoError(t, s.Append(uint64(i), [][]byte{payload}))
	}
	require.Equal(t, want, readAll(t, s))
	require.Len(t, s.Segments(), 4)
	require.NoError(t, s.Close())
}

// TestTornTailIsCut cuts a file at every byte, as a crash in the middle of a write does,
// and damages every byte of its last frame.
func TestTornTailIsCut(t *testing.T) {
	s := New(t.TempDir(), "a")
	want := entries(5)
	var ends []int64
	for i, payload := range want {
		require.NoError(t, s.Append(uint64(i), [][]byte{payload}))
		ends = append(ends, s.Size())
	}
	s.Seal()
	content, err := os.ReadFile(s.Segments()[0].path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	whole := func(size int) (n int) {
		for n < len(ends) && ends[n] <= int64(size) {
			n++
		}
		return n
	}
	for size := range len(content) + 1 {
		for _, tail := range []string{"", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff"} {
			torn := append(bytes.Clone(content[:size]), tail...)
			if size < len(content) && bytes.HasPrefix(content[size:], []byte(tail)) {
				continue // that is a part of what was there
			}
			r := NewReader(bytes.NewReader(torn))
			require.Equal(t, want[:whole(size)], nilIfEmpty(readEntries(t, r), want), "cut at %d, followed by %q", size, tail)
		}
	}
	for at := ends[len(ends)-2]; at < ends[len(ends)-1]; at++ {
		damaged := bytes.Clone(content)
		damaged[at] ^= 0x10
		require.Equal(t, want[:len(want)-1], readEntries(t, NewReader(bytes.NewReader(damaged))), "damaged at %d", at)
	}
}

// nilIfEmpty makes no entries equal to none of those wanted.
func nilIfEmpty(got, want [][]byte) [][]byte {
	if len(got) == 0 {
		return want[:0]
	}
	return got
}

// faulty is a file on a disk that fails from some write or sync on.
type faulty struct {
	*os.File
	disk *disk
}

type disk struct {
	steps int // that still work
	short bool
}

func (d *disk) fails() bool {
	d.steps--
	return d.steps < 0
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.disk.fails() {
		if f.disk.short {
			n, _ := f.File.Write(b[:len(b)/2])
			return n, syscall.ENOSPC
		}
		return 0, syscall.EIO
	}
	return f.File.Write(b)
}

func (f *faulty) Sync() error {
	if f.disk.fails() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func TestWhatWasAppendedIsThereWhateverFailsLater(t *testing.T) {
	for steps := range 12 {
		for _, short := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d steps, short %v", steps, short), func(t *testing.T) {
				d := &disk{steps: steps, short: short}
				s := New(t.TempDir(), "a")
				files := 0
				s.create = func(path string) (file, error) {
					files++
					f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
					return &faulty{File: f, disk: d}, err
				}
				payloads := entries(8)
				var sure [][]byte
				failed := false
				for i := range payloads {
					err := s.Append(uint64(i), payloads[i:i+1])
					if err != nil {
						require.NotContains(t, err.Error(), os.TempDir(), "paths stay out of errors")
						failed, d.steps = true, 1000 // the disk works again
						require.NoError(t, s.Append(uint64(i), payloads[i:i+1]))
					}
					sure = append(sure, payloads[i])
				}
				if failed {
					require.GreaterOrEqual(t, files, 2, "a file that has failed is not written again")
				}
				got := readAll(t, s)
				for _, payload := range got { // with what failed and is there all the same
					if len(sure) > 0 && bytes.Equal(payload, sure[0]) {
						sure = sure[1:]
					}
				}
				require.Empty(t, sure)
				require.NoError(t, s.Close())
			})
		}
	}
}

func TestReaderTakesNoMemoryForALengthThatLies(t *testing.T) {
	liar := append([]byte(magic), 0xff, 0xff, 0xff, 0x03, 1, 2, 3, 4, 5)
	allocated := testing.AllocsPerRun(1, func() {
		_, err := NewReader(bytes.NewReader(liar)).Next()
		require.ErrorIs(t, err, io.EOF)
	})
	require.Less(t, allocated, float64(100))
	r := NewReader(bytes.NewReader(liar))
	_, err := r.payload(maxPayload)
	require.ErrorIs(t, err, io.EOF)
}

// FuzzRecovery reads files that are anything: what comes out of them is what was written
// before the first damage.
func FuzzRecovery(f *testing.F) {
	file := []byte(magic)
	for _, payload := range [][]byte{[]byte(`{"kind":"finish"}`), {}, bytes.Repeat([]byte{0}, 300)} {
		file = appendFrame(file, payload)
		f.Add(bytes.Clone(file), 0, byte(0))
	}
	f.Add(file, len(magic)+3, byte(0x80))
	f.Add(file[:len(file)-1], 0, byte(0))
	f.Add(append(bytes.Clone(file), 0, 0, 0, 0, 0, 0, 0, 0), 0, byte(0))
	f.Add([]byte("sluice spool 2\nxxxxxxxxxxxxxxx"), 0, byte(0))
	f.Fuzz(func(t *testing.T, content []byte, at int, flip byte) {
		r := NewReader(bytes.NewReader(content))
		got := readEntries(t, r)
		if len(got) == 0 {
			return
		}
		again := []byte(magic)
		for _, payload := range got {
			again = appendFrame(again, payload)
		}
		require.Equal(t, content[:r.Good()], again, "what is read is what was written")
		if at < 0 || at >= len(again) || flip == 0 {
			return
		}
		again[at] ^= flip
		for i, payload := range readEntries(t, NewReader(bytes.NewReader(again))) {
			require.Equal(t, got[i], payload, "damage does not make entries")
		}
	})
}
