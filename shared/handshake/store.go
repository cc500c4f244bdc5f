package handshake

import (
	"context"
	"errors"
)

// A Store keeps what connections need to survive the process that they live in:
// one value for each, encrypted, under a name that says nothing. It is shared by
// all processes in which a connection may go on, and must outlive each of them: what
// Swap has stored is there after a crash, or record numbers may be used twice. Its
// methods are called from several goroutines at once, without a lock of the
// connection's.
type Store interface {
	// Load returns what is stored under a name, and its generation; nil and 0 if
	// nothing is.
	Load(ctx context.Context, name string) (value []byte, generation uint64, err error)

	// Swap stores a value, or nothing if that is nil, if the generation of what is
	// stored now is old, and returns the new one, which is neither 0 nor one that this
	// name has had; of nothing it is 0. If another generation is stored it changes
	// nothing and returns ErrGeneration. After any other error it may have stored the
	// value or not.
	Swap(ctx context.Context, name string, old uint64, value []byte) (generation uint64, err error)
}

// ErrGeneration is a Store's answer to a Swap that comes too late.
var ErrGeneration = errors.New("another generation is stored")

// StoreKeySize is the length of Config.StoreKey in bytes.
const StoreKeySize = 32

// The bounds of Config.StoreBlock. Records of 1.3 carry 16 bits of their number, and
// the peer must make the right one of them after several crashes in a row.
const (
	DefaultStoreBlock = 1024
	minStoreBlock     = 16
	maxStoreBlock     = 4096
)

// shortStoreBlock is the most with ShortRecordHeaders, which have 8 bits of it.
const shortStoreBlock = 64

// ReservedBlock is StoreBlock, or what it is if it is zero.
func (c *Config) ReservedBlock() int {
	switch {
	case c.StoreBlock != 0:
		return c.StoreBlock
	case c.ShortRecordHeaders:
		return shortStoreBlock
	}
	return DefaultStoreBlock
}

// validateStore checks what a Store needs.
func (c *Config) validateStore() error {
	switch {
	case c.Store == nil && len(c.StoreKey) > 0:
		return unusable("StoreKey", "there is no Store")
	case c.Store != nil && len(c.StoreKey) != StoreKeySize:
		return unusable("StoreKey", "it has %d bytes, a key has %d", len(c.StoreKey), StoreKeySize)
	case c.ShortRecordHeaders && c.StoreBlock > shortStoreBlock:
		return unusable("StoreBlock", "%d is more than %d, and ShortRecordHeaders say less of a record's number", c.StoreBlock, shortStoreBlock)
	case c.StoreBlock != 0 && (c.StoreBlock < minStoreBlock || c.StoreBlock > maxStoreBlock):
		return unusable("StoreBlock", "%d is outside %d to %d", c.StoreBlock, minStoreBlock, maxStoreBlock)
	}
	return nil
}
