package dtls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A memoryStore is a Store of one process, for tests, that can be made to fail.
type memoryStore struct {
	mu     sync.Mutex
	values map[string]stored
	last   uint64 // generation
	swaps  int
	old    [][]byte     // values that were replaced or deleted
	before func() error // if set: asked before anything happens
	after  func() error // if set: asked when all has happened
}

type stored struct {
	value      []byte
	generation uint64
}

func newMemoryStore() *memoryStore { return &memoryStore{values: map[string]stored{}} }

func (m *memoryStore) Load(_ context.Context, name string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(); err != nil {
			return nil, 0, err
		}
	}
	s := m.values[name]
	return bytes.Clone(s.value), s.generation, nil
}

func (m *memoryStore) Swap(_ context.Context, name string, old uint64, value []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(); err != nil {
			return 0, err
		}
	}
	was := m.values[name]
	if was.generation != old {
		return 0, fmt.Errorf("%w: %d, not %d", ErrGeneration, was.generation, old)
	}
	m.swaps++
	if was.value != nil {
		m.old = append(m.old, was.value)
	}
	var now stored
	if value == nil {
		delete(m.values, name)
	} else {
		m.last++
		now = stored{bytes.Clone(value), m.last}
		m.values[name] = now
	}
	if m.after != nil {
		if err := m.after(); err != nil {
			return 0, err
		}
	}
	return now.generation, nil
}

// only is the one value that is stored.
func (m *memoryStore) only(t testing.TB) []byte {
	t.Helper()
	if len(m.values) != 1 {
		t.Fatalf("%d values are stored", len(m.values))
	}
	for _, s := range m.values {
		return s.value
	}
	return nil
}

// keeping gives both sides a Store of their own.
func keeping(client, server *Config) {
	for _, c := range []*Config{client, server} {
		c.Store, c.StoreKey, c.StoreBlock = newMemoryStore(), exportKey, 16
	}
}

func (d *side) store() *memoryStore { return d.config.Store.(*memoryStore) }

// crash forgets the side's Engine and goes on with what its Store has.
func (d *side) crash() {
	d.s.t.Helper()
	d.s.resurrect(d, d.config, d.store().only(d.s.t))
}

// Data flows, block after block, and a crash at any time loses no more than one: what
// was stored is enough to go on with.
func TestStoreReserves(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(keeping, version)
		s := established(t, client, server)
		for range 3 {
			for _, d := range s.sides() {
				for range 50 {
					s.exchange()
					s.client.did(nil)
					s.server.did(nil)
				}
				next := d.newest().next
				d.crash()
				if jump := d.newest().next - next; jump < 1 || jump > 16 {
					t.Errorf("the numbers jump by %d", jump)
				}
				d.s.drop(d)
				s.settle()
				s.client.read, s.server.read = nil, nil
			}
		}
	})
}

// drop writes to d until something arrives: it knows of a block of numbers that it
// must not take any more.
func (s *simulation) drop(d *side) {
	s.t.Helper()
	before := len(d.read)
	for n := 0; len(d.read) == before; n++ {
		if n > 16 {
			s.t.Fatalf("%s: %d records were dropped", d.name, n)
		}
		d.receive(d.peer.seal("lost, or not"))
	}
}

// Without an answer of the Store no number goes out that isn't reserved, and nothing
// comes in; when it answers all goes on.
func TestStoreSilent(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	s.client.did(nil)
	out := errors.New("out of order")
	s.client.store().before = func() error { return out }
	buf := make([]byte, 100)
	sent := 0
	var err error
	for ; sent < 100; sent++ {
		if _, err = s.client.Write(buf, []byte("x"), s.now); err != nil {
			break
		}
		s.client.did(nil)
	}
	if !errors.Is(err, ErrNotReserved) || !errors.Is(err, out) || sent < 8 || sent > 16 {
		t.Errorf("%d were sent, then %v", sent, err)
	}
	for i := range 20 {
		s.client.receive(s.server.seal(fmt.Sprint(i)))
	}
	read := len(s.client.read)
	if read < 1 || read > 16 || len(s.client.reserve.parked) == 0 {
		t.Errorf("%d were read", read)
	}
	s.client.store().before = nil
	s.advance(2 * storeRetry)
	s.client.drain()
	if len(s.client.read) != 20 {
		t.Errorf("%d of 20 were read", len(s.client.read))
	}
	s.exchange()
}

// A save whose answer got lost is found out about.
func TestStoreDoubt(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	lost := true
	s.client.store().after = func() error {
		if lost = !lost; lost {
			return errors.New("the answer got lost")
		}
		return nil
	}
	for range 100 {
		s.exchange()
		s.client.did(nil)
		s.server.did(nil)
		s.advance(storeRetry)
	}
	s.client.store().after = nil
	s.client.crash()
	s.drop(s.client)
	s.exchange()
}

// ... also if the Store is out of order for longer after that: before it says anything, or
// after it has said what it has.
func TestStoreDoubtForLong(t *testing.T) {
	failure := errors.New("out of order")
	for name, failing := range map[string][]bool{
		"silent":        {true, true, true}, // each call
		"said what was": {false, true, false, true},
	} {
		client, server := with(keeping)
		s := established(t, client, server)
		s.client.did(nil)
		store := s.client.store()
		store.after = func() error {
			store.after = nil
			store.before = func() error {
				if len(failing) == 0 {
					return nil
				}
				fails := failing[0]
				if failing = failing[1:]; fails {
					return failure
				}
				return nil
			}
			return failure
		}
		for range 20 {
			s.client.receive(s.server.seal("anything"))
			s.server.did(nil)
			s.advance(storeRetry)
		}
		if err := s.client.Err(); err != nil || len(failing) > 0 {
			t.Errorf("%s: %v; %d calls are still to fail", name, err, len(failing))
		}
	}
}

// New keys are stored before they are used, whoever changes them, and so is a
// KeyUpdate before its ACK.
func TestStoreKeyUpdate(t *testing.T) {
	for _, killed := range []string{"client", "server"} {
		client, server := with(keeping)
		s := established(t, client, server)
		s.client.did(nil)
		s.server.did(nil)
		s.settle()
		d := s.client
		if killed == "server" {
			d = s.server
		}
		for range 5 {
			// Nothing is stored from here on, and then it dies.
			before := s.client.newest().number
			d.store().before = func() error { return errors.New("out of order") }
			s.client.did(s.client.KeyUpdate(UpdateRequested, s.now))
			s.advance(time.Second / 2)
			if s.client.newest().number != before {
				t.Errorf("%s: the keys of epoch %d are used, and not stored", killed, s.client.newest().number)
			}
			d.store().before = nil
			d.crash()
			s.drop(d)
			s.settle()
			s.exchange()
			s.settle()
		}
		if s.client.newest().number < 3+5 && killed == "server" {
			t.Errorf("%s: the client is in epoch %d", killed, s.client.newest().number)
		}
	}
}

// What is stored doesn't say that the peer has used its new keys, although their numbers
// are reserved: if it has moved before it got the ACK, the keys of before show where to.
//
// RFC 9147 8 [4]
func TestStoreRebindingBeforeACK(t *testing.T) {
	client, server := with(keeping, identified(8, 8))
	s := established(t, client, server)
	s.client.did(nil)
	s.server.did(nil)
	s.settle()
	s.fate = losing(func(p *parcel) bool { return p.from == s.server && p.to == home })
	s.client.did(s.client.KeyUpdate(UpdateNotRequested, s.now))
	s.advance(time.Second)
	if s.server.readLevel() != 4 {
		t.Fatalf("the server reads epoch %d", s.server.readLevel())
	}
	s.server.crash()
	s.client.at = address(1)
	for range 20 {
		s.client.did(nil)
		s.client.post("from elsewhere")
		s.advance(time.Second)
	}
	if s.server.Path() != address(1) {
		t.Errorf("the server writes to %v", s.server.Path())
	}
	s.settle()
	s.server.read = nil
	s.expectEpochs(4, 3)
	s.exchange()
}

// Whoever imports first has the connection; an Engine that lived on learns it with its
// next save, and stops.
func TestStoreImportedOnce(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	s.server.did(nil)
	blob, zombie := s.server.store().only(t), s.server.Engine
	s.resurrect(s.server, server, blob)
	e, err := ImportEngine(server, blob, exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.claimNow(s.now); err != ErrReplayed {
		t.Errorf("imported again: %v", err)
	}
	if _, err := e.Write(make([]byte, 100), []byte("x"), s.now); err != ErrReplayed {
		t.Errorf("Write: %v", err)
	}
	for range 20 {
		if _, err = zombie.Write(make([]byte, 100), []byte("x"), s.now); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrNotReserved) {
		t.Errorf("the Engine of before has written without end: %v", err)
	}
	zombie.Work()()
	if err := zombie.Resume(s.now); err != ErrReplayed || zombie.Pending() {
		t.Errorf("the Engine of before: %v", err)
	}
	s.drop(s.server)
	s.exchange()
}

// Export leaves its blob in the Store: it can be imported once, and nothing is left
// out.
func TestStoreExport(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	s.exchange()
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	early, err := ImportEngine(server, blob, exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := early.claimNow(s.now); err != ErrReplayed {
		t.Errorf("imported before it was stored: %v", err)
	}
	s.server.Work()()
	if err := s.server.Resume(s.now); err != nil {
		t.Fatal(err)
	}
	s.resurrect(s.server, server, blob)
	s.exchange()
	again, err := ImportEngine(server, blob, exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.claimNow(s.now); err != ErrReplayed {
		t.Errorf("imported again: %v", err)
	}
	s.exchange()
	s.server.move() // without a Store's help
}

// Close deletes what is stored.
func TestStoreClose(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	s.server.did(nil)
	blob := s.server.store().only(t)
	s.server.Close(s.now)
	s.server.did(nil)
	if n := len(s.server.store().values); n != 0 {
		t.Errorf("%d values are stored", n)
	}
	e, err := ImportEngine(server, blob, exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.claimNow(s.now); err != ErrReplayed {
		t.Errorf("imported after Close: %v", err)
	}
}

// What was exported without a Store can't be told from what was imported already.
func TestStoreRefusesWithout(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	keeping(client, server)
	if _, err := ImportEngine(server, blob, exportKey, s.now); err != ErrNoStore {
		t.Errorf("%v", err)
	}
	server.InsecureImportWithoutStore = true
	s.resurrect(s.server, server, blob)
	s.exchange()
	s.server.crash()
	s.drop(s.server)
	s.exchange()
}

// Between two saves nothing is allocated for a record.
func TestStoreDoesNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	client, server := with(keeping, func(client, server *Config) { client.StoreBlock, server.StoreBlock = 4096, 4096 })
	s := established(t, client, server)
	for range 20 {
		s.exchange()
	}
	s.client.did(nil)
	buf, p := make([]byte, 200), []byte("message")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.client.Write(buf, p, s.now); err != nil || s.client.Work() != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
}

// Records that wait for a Store that doesn't answer take a bounded amount of memory,
// even if they are empty.
func TestParkedRecordsAreBounded(t *testing.T) {
	client, server := with(keeping)
	s := established(t, client, server)
	s.server.store().before = func() error { return errors.New("out of order") }
	for range 20_000 {
		s.client.newest().limit = unlimited.limit
		s.server.receive(s.client.record(s.client.newest().number, protocol.ApplicationData, nil))
	}
	if n := len(s.server.reserve.parked); n == 0 || n > maxBacklog/16 {
		t.Errorf("%d records wait", n)
	}
}
