// Package store has Stores for dtls.Config.Store, which keep connections for the time
// when their process is gone: in files, and in Redis. Programs that want one copy it.
package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/godwit-dtls/godwit/dtls"
	"golang.org/x/sys/unix"
)

var _ dtls.Store = Files{}

// Files keeps each value in a file of a directory, which several processes of one
// machine may share. A file is replaced as a whole and written through to the disk
// before Swap returns; a lock (flock) makes of reading, comparing and writing one step.
//
//	<hex of the name>       u64 generation | value
//	<hex of the name>.new   what is about to take its place
//	lock-<first byte>       locked by whoever writes a name that begins so
type Files struct {
	// Dir is the directory, which must exist. Only its owner should be able to read
	// it, though values are encrypted.
	Dir string
}

const generationSize = 8

// Load reads one file. It needs no lock, as files are replaced as a whole.
func (f Files) Load(ctx context.Context, name string) (value []byte, generation uint64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	content, err := os.ReadFile(f.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case len(content) < generationSize:
		return nil, 0, fmt.Errorf("store: %s has %d bytes", f.path(name), len(content))
	}
	return content[generationSize:], binary.BigEndian.Uint64(content), nil
}

// Swap replaces one file, if it still has the generation old. Generations are random:
// so none comes again for a name that was deleted.
func (f Files) Swap(ctx context.Context, name string, old uint64, value []byte) (generation uint64, err error) {
	unlock, err := f.lock(name)
	if err != nil {
		return 0, err
	}
	defer unlock()
	_, stored, err := f.Load(ctx, name)
	switch {
	case err != nil:
		return 0, err
	case stored != old:
		return 0, fmt.Errorf("store: %w: %x, not %x", dtls.ErrGeneration, stored, old)
	case value == nil && stored == 0:
		return 0, nil
	case value == nil:
		if err := os.Remove(f.path(name)); err != nil {
			return 0, err
		}
		return 0, f.sync()
	}
	generation = newGeneration()
	if err := f.write(name, binary.BigEndian.AppendUint64(nil, generation), value); err != nil {
		return 0, err
	}
	return generation, f.sync()
}

// Names lists what is stored, for a process that goes on with all of it.
func (f Files) Names() (names []string, err error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name, err := hex.DecodeString(e.Name()); err == nil {
			names = append(names, string(name))
		}
	}
	return names, nil
}

// newGeneration is not 0, and not one that was.
func newGeneration() uint64 {
	var b [generationSize]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

func (f Files) path(name string) string {
	return filepath.Join(f.Dir, hex.EncodeToString([]byte(name)))
}

// lock keeps other processes, and goroutines, from writing this name.
func (f Files) lock(name string) (unlock func(), err error) {
	first := name[:min(1, len(name))]
	file, err := os.OpenFile(filepath.Join(f.Dir, "lock-"+hex.EncodeToString([]byte(first))), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("store: %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil // with the file the lock goes, also when the process dies
}

// write puts a file into the place of the one that is there.
func (f Files) write(name string, parts ...[]byte) (err error) {
	path := f.path(name)
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err = file.Write(part); err != nil {
			break
		}
	}
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sync makes what the directory says last.
func (f Files) sync() error {
	dir, err := os.Open(f.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
