package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

// testContract holds a Store to what dtls.Store promises. environment lets another
// process open the same one: see open.
func testContract(t *testing.T, s dtls.Store, environment ...string) {
	ctx := context.Background()
	load := func(name string, want []byte, generation uint64) {
		t.Helper()
		if value, at, err := s.Load(ctx, name); err != nil || at != generation || !bytes.Equal(value, want) {
			t.Fatalf("Load: %q, %d, %v, expected %q, %d", value, at, err, want, generation)
		}
	}
	refused := func(name string, old uint64, value []byte) {
		t.Helper()
		if _, err := s.Swap(ctx, name, old, value); !errors.Is(err, dtls.ErrGeneration) {
			t.Fatalf("Swap of generation %d: %v", old, err)
		}
	}
	swap := func(name string, old uint64, value []byte) uint64 {
		t.Helper()
		generation, err := s.Swap(ctx, name, old, value)
		if err != nil || (generation == 0) != (value == nil) {
			t.Fatalf("Swap: %d, %v", generation, err)
		}
		return generation
	}
	for _, name := range []string{"a name", "\x00\xff/../..", string(bytes.Repeat([]byte{0xaa}, 20))} {
		load(name, nil, 0)
		refused(name, 1, []byte("too early"))
		one := swap(name, 0, []byte{0, 1, 2, 0xff})
		load(name, []byte{0, 1, 2, 0xff}, one)
		refused(name, 0, []byte("again"))
		two := swap(name, one, bytes.Repeat([]byte("large"), 10_000))
		refused(name, one, []byte("too late"))
		refused(name, one, nil)
		load(name, bytes.Repeat([]byte("large"), 10_000), two)
		swap(name, two, nil)
		load(name, nil, 0)
		refused(name, two, []byte("deleted"))
		if three := swap(name, 0, []byte{}); three == one || three == two {
			t.Error("a generation came again")
		} else {
			load(name, []byte{}, three)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Swap(ended, "a name", 0, nil); err == nil {
		t.Error("Swap without time")
	}
	testProcesses(t, s, environment)
}

// testProcesses lets several processes count one value up at once.
func testProcesses(t *testing.T, s dtls.Store, environment []string) {
	const processes = 4
	var running []*exec.Cmd
	for range processes {
		p := exec.Command(os.Args[0], "-test.run=^TestCounter$", "-test.v")
		p.Env = append(os.Environ(), environment...)
		p.Stderr = os.Stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, p)
	}
	for _, p := range running {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	value, _, err := s.Load(context.Background(), counter)
	if n := binary.BigEndian.Uint64(append(value, make([]byte, 8)...)); err != nil || n != processes*counts {
		t.Errorf("counted to %d, %v, expected %d", n, err, processes*counts)
	}
}

const (
	counter = "counter"
	counts  = 50
)

// open is the Store that the environment of a process names, nil if it names none.
func open() dtls.Store {
	switch dir, address := os.Getenv("GODWIT_FILES"), os.Getenv("GODWIT_REDIS"); {
	case dir != "":
		return Files{dir}
	case address != "":
		return Redis{dial(address), "godwit:"}
	}
	return nil
}

// TestCounter is what the processes of testProcesses run.
func TestCounter(t *testing.T) {
	s := open()
	if s == nil {
		return // it is nobody's process
	}
	for n := 0; n < counts; {
		value, generation, err := s.Load(context.Background(), counter)
		if err != nil {
			t.Fatal(err)
		}
		next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(append(value, make([]byte, 8)...))+1)
		switch _, err := s.Swap(context.Background(), counter, generation, next); {
		case err == nil:
			n++
		case !errors.Is(err, dtls.ErrGeneration):
			t.Fatal(err)
		}
	}
}
