package upstream

import "sync"

const (
	// Headroom is the number of bytes free in front of what ReadBody returns.
	Headroom = 16
	// Tailroom is the number of bytes free behind what ReadBody returns.
	Tailroom = 128

	blockSize = 32 << 10
)

// block is the memory of one read. What is read lies between Headroom and Tailroom,
// so that the caller can frame it for the downstream where it lies.
type block [blockSize]byte

// room is the part of the block that a read may fill.
func (b *block) room() []byte { return b[Headroom : blockSize-Tailroom] }

var blocks = sync.Pool{New: func() any { return new(block) }}

func takeBlock() *block { return blocks.Get().(*block) }

func giveBlock(b *block) { blocks.Put(b) }
