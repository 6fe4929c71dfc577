// Package spool keeps entries in files until something that is down can take them: each
// is there once Append has returned, whatever happens to the process afterwards.
//
// A file is a line that names its form, followed by frames: the length of the payload and
// a CRC-32C of that length and the payload, both of 32 bits and little-endian, and then
// the payload. What a crash has left at the end of a file is cut at the first frame that
// is not whole.
package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// magic is the line that each file begins with.
const magic = "sluice spool 1\n"

const (
	frameHeader = 8
	// maxPayload tells a length from garbage.
	maxPayload = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame puts a payload into a frame behind buf.
func appendFrame(buf, payload []byte) []byte {
	at := len(buf)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload)))
	buf = binary.LittleEndian.AppendUint32(buf, checksum(buf[at:], payload))
	return append(buf, payload...)
}

func checksum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, payload)
}

// Reader reads the entries of a file.
type Reader struct {
	in      *bufio.Reader
	closer  io.Closer
	started bool
	good    int64
}

// NewReader reads what stands in a file of a spool.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(in, 64<<10)} }

// Next returns the next entry, which the caller owns, and io.EOF where there is no further
// one that is whole. Other errors are those of the file.
func (r *Reader) Next() ([]byte, error) {
	if !r.started {
		line := make([]byte, len(magic))
		if err := r.full(line); err != nil {
			return nil, err
		}
		if string(line) != magic {
			return nil, io.EOF
		}
		r.started, r.good = true, int64(len(magic))
	}
	var header [frameHeader]byte
	if err := r.full(header[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length > maxPayload {
		return nil, io.EOF
	}
	payload, err := r.payload(int(length))
	if err != nil {
		return nil, err
	}
	if checksum(header[:4], payload) != binary.LittleEndian.Uint32(header[4:]) {
		return nil, io.EOF
	}
	r.good += frameHeader + int64(length)
	return payload, nil
}

// payload reads so many bytes. It does not take memory for a length before the file has
// shown that it is that long.
func (r *Reader) payload(length int) ([]byte, error) {
	const step = 1 << 20
	payload := make([]byte, min(length, step))
	for read := 0; ; {
		if err := r.full(payload[read:]); err != nil {
			return nil, err
		}
		if len(payload) == length {
			return payload, nil
		}
		read = len(payload)
		payload = append(payload, make([]byte, min(length-read, step))...)
	}
}

// full fills b. A file that ends within has no further entry that is whole.
func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.in, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// Good is the size, in bytes, of the part of the file that holds whole entries, as far as
// it has been read.
func (r *Reader) Good() int64 { return r.good }

// Close closes the file.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}
