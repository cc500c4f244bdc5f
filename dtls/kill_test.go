package dtls

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A killing is a session in which both sides write, change their keys, and are killed
// or moved at random. It watches the wire: every record is opened there with the keys
// that it was sealed with, which proves its key and number, and no two may have the
// same.
type killing struct {
	*simulation
	seen   map[sealedBy]bool
	taps   map[string]*readEpoch // by key
	writes map[*side]*account
	blobs  []oldBlob
	kills  int
	clean  bool // none is killed, all are exported: nothing may be lost
}

// sealedBy is what must not repeat.
type sealedBy struct {
	key    string
	number uint64
}

// An account is what one side has written, and what of it the other may not get.
type account struct {
	written int
	got     map[string]int
	read    int // of the peer's reads, how many are counted
	excused int // as many may be lost
}

// An oldBlob can't be imported any more.
type oldBlob struct {
	of   *side
	blob []byte
}

func newKilling(t *testing.T, seed uint64, version func(client, server *Config)) *killing {
	ids := together()
	if seed%2 == 1 {
		ids = identified(4, 8)
	}
	client, server := with(keeping, version, ids)
	k := &killing{seen: map[sealedBy]bool{}, taps: map[string]*readEpoch{}, writes: map[*side]*account{}}
	k.simulation = simulate(t, seed, client, server, func(s *simulation) {
		s.fate = func(p *parcel) []time.Duration {
			k.watch(p.from, p.from.Engine, p.data)
			copies := []time.Duration{k.delay()}
			if s.random.IntN(10) == 0 {
				copies = append(copies, k.delay())
			}
			return copies
		}
		s.workTime = func() time.Duration { return time.Duration(s.random.IntN(15)) * time.Millisecond }
		k.simulation = s
	})
	for _, d := range k.sides() {
		k.writes[d] = &account{got: map[string]int{}}
	}
	return k
}

func (k *killing) delay() time.Duration {
	return latency + time.Duration(k.random.IntN(20))*time.Millisecond
}

// watch opens every record of a datagram as an observer who has the keys.
func (k *killing) watch(d *side, e *Engine, datagram []byte) {
	k.t.Helper()
	id := e.ids.remote
	for rest := bytes.Clone(datagram); len(rest) > 0; {
		if isUnified(rest[0]) {
			h, ok := parseHeader13(rest, len(id))
			if !ok {
				k.t.Fatalf("%s sent what is no record", d.name)
			}
			header, body, hidden := rest[:h.body], rest[h.body:h.end], h.numberIn(rest)
			w := e.writeEpochByBits(rest[0] & epochBits)
			tap := k.tap(w, e)
			if !tap.mask.Apply(hidden, body) {
				k.t.Fatalf("%s sent a record of %d bytes", d.name, len(body))
			}
			rest = rest[h.end:]
			number := rebuild(hidden, tap.expects())
			if _, err := tap.opener.Open(body, header, number); err != nil {
				k.t.Fatalf("%s: record %d of epoch %d: %v", d.name, number, w.number, err)
			}
			k.once(d, tap, w, number)
			continue
		}
		carried := id
		if protocol.ContentType(rest[0]) != protocol.ConnectionID {
			carried = nil
		}
		var h header12
		more, ok := h.parse(rest, len(carried))
		if rest = more; !ok {
			k.t.Fatalf("%s sent what is no record", d.name)
		}
		if h.number.Epoch == 0 {
			continue
		}
		w := e.writeEpoch(h.number.Epoch)
		tap := k.tap(w, e)
		length := tap.opener.PlaintextLen(len(h.body))
		if _, err := tap.opener.Open(h.body, appendAdditional12(nil, h.kind, h.number, carried, length), number12(h.number)); err != nil {
			k.t.Fatalf("%s: record %v: %v", d.name, h.number, err)
		}
		k.once(d, tap, w, h.number.Sequence)
	}
}

// once fails if a key and number were used before.
func (k *killing) once(d *side, tap *readEpoch, w *writeEpoch, number uint64) {
	k.t.Helper()
	tap.window.Mark(number)
	tap.opened = true
	by := sealedBy{string(w.sealer.Key().Key) + string(w.sealer.Key().IV), number}
	if k.seen[by] {
		k.t.Fatalf("%s used number %d of epoch %d twice", d.name, number, w.number)
	}
	k.seen[by] = true
}

func (k *killing) tap(w *writeEpoch, e *Engine) *readEpoch {
	key := string(w.sealer.Key().Key) + string(w.sealer.Key().IV)
	if k.taps[key] == nil {
		r, err := newReadEpoch(handshake.TrafficKey{Level: w.number, Suite: e.machine.Suite(), Key: w.sealer.Key()})
		if err != nil {
			k.t.Fatal(err)
		}
		k.taps[key] = r
	}
	return k.taps[key]
}

// writeEpochByBits finds the keys of a record of 1.3 that was just written.
func (e *Engine) writeEpochByBits(low byte) *writeEpoch {
	for i := len(e.writes) - 1; i >= 0; i-- {
		if w := e.writes[i]; byte(w.number)&epochBits == low && w.mask != nil {
			return w
		}
	}
	return e.newest()
}

// write lets a side write one message, if it has a number for it.
func (k *killing) write(d *side, e *Engine) bool {
	k.t.Helper()
	a := k.writes[d]
	text := fmt.Sprintf("%s %d", d.name, a.written)
	buf := make([]byte, 200)
	n, err := e.Write(buf, []byte(text), k.now)
	switch {
	case errors.Is(err, ErrNotReserved):
		return false
	case err != nil:
		k.t.Fatalf("%s: %v", d.name, err)
	}
	a.written++
	if e == d.Engine {
		k.send(d, buf[:n], d.Path())
		d.did(nil)
		return true
	}
	k.watch(d, e, buf[:n]) // of one that should be dead: it goes nowhere
	a.excused++
	return true
}

// count notes what has arrived, and that it has for the first time.
func (k *killing) count() {
	k.t.Helper()
	for _, d := range k.sides() {
		a := k.writes[d]
		for _, message := range d.peer.read[a.read:] {
			if a.got[string(message)]++; a.got[string(message)] > 1 {
				k.t.Fatalf("%s got %q twice", d.peer.name, message)
			}
		}
		a.read = len(d.peer.read)
	}
}

// kill ends the Engine of a side in one way or another, and goes on elsewhere.
func (k *killing) kill(d *side) {
	k.t.Helper()
	k.kills++
	k.count()
	if k.clean || k.random.IntN(2) == 0 {
		k.export(d)
	} else {
		k.crash(d)
	}
	k.tryOld(d)
}

func (k *killing) export(d *side) {
	k.t.Helper()
	config := d.config
	blob, err := d.Export(exportKey, k.now)
	if err != nil {
		k.t.Fatalf("%s: Export: %v", d.name, err)
	}
	for d.reserve.final != nil {
		if d.work == nil {
			d.work = d.Work()
		}
		d.work()
		d.work = nil
		if err := d.Resume(k.now); err != nil {
			k.t.Fatalf("%s: storing what was exported: %v", d.name, err)
		}
	}
	k.resurrect(d, config, blob)
	k.blobs = append(k.blobs, oldBlob{d, blob})
}

// crash loses what only the Engine has. A save that is under way may be through.
func (k *killing) crash(d *side) {
	k.t.Helper()
	store, dead := d.store(), d.Engine
	if d.work != nil && k.random.IntN(2) == 0 {
		d.work()
	}
	if len(store.values) == 0 { // it dies for good before its first save
		return
	}
	inFlight := 0
	for _, p := range k.air {
		if p.from == d.peer {
			inFlight++
		}
	}
	k.writes[d.peer].excused += int(dead.reserve.block) + inFlight + len(dead.reserve.parked) + len(dead.reserve.unread)
	blob := store.only(k.t)
	k.resurrect(d, d.config, blob)
	k.blobs = append(k.blobs, oldBlob{d, blob})
	if k.random.IntN(4) == 0 { // it wasn't dead
		for d.work != nil {
			k.step()
		}
		for n := 0; dead.Err() == nil && k.write(d, dead); n++ {
			if n > 2*int(dead.reserve.block) {
				k.t.Fatalf("%s: what should be dead writes without end", d.name)
			}
		}
	}
}

// tryOld imports a blob that is old, altered or cut short, which must not go.
func (k *killing) tryOld(d *side) {
	k.t.Helper()
	old := k.blobs[k.random.IntN(len(k.blobs))]
	for old.of.work != nil { // the one that goes on is about to claim it
		k.step()
	}
	spoiled := bytes.Clone(old.blob)
	switch k.random.IntN(3) {
	case 0:
		e, err := ImportEngine(old.of.config, old.blob, exportKey, k.now)
		if err != nil {
			k.t.Fatal(err)
		}
		if err := e.claimNow(k.now); err != ErrReplayed || e.Pending() {
			k.t.Fatalf("%s: an old blob: %v", d.name, err)
		}
		return
	case 1:
		spoiled = spoiled[:k.random.IntN(len(spoiled))]
	case 2:
		spoiled[k.random.IntN(len(spoiled))] ^= 1 << k.random.IntN(8)
	}
	if _, err := ImportEngine(old.of.config, spoiled, exportKey, k.now); err == nil {
		k.t.Fatalf("%s: a blob that was spoiled is good", d.name)
	}
}

// live lets one thing happen.
func (k *killing) live() {
	d := k.sides()[k.random.IntN(2)]
	switch n := k.random.IntN(100); {
	case n < 50:
		if d.Open() {
			k.write(d, d.Engine)
		}
	case n < 52:
		if d.Open() && d.version.Is13() {
			d.did(d.KeyUpdate(anyRequest(k.random), k.now))
		}
	case n < 53:
		if d.Open() && d.version.Is13() && len(d.ids.remote) > 0 {
			d.did(d.RotateConnectionIDs(k.now))
		}
	default:
		k.step()
	}
	for _, d := range k.sides() {
		if d.err != nil {
			k.t.Fatalf("%s: %v", d.name, d.err)
		}
	}
}

func anyRequest(random *rand.Rand) KeyUpdateRequest {
	return []KeyUpdateRequest{UpdateNotRequested, UpdateRequested}[random.IntN(2)]
}

// TestKill kills sessions at ten thousand random points and lets them go on elsewhere.
// No record key and number is used twice; no record is lost beyond those in flight
// and, after a crash, one block; none is delivered twice; truncated, altered and
// replayed blobs are refused.
func TestKill(t *testing.T) {
	const perSession = 40
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		kills, records, lost := 0, 0, 0
		for seed := range uint64(max(1, runs(10_000)/2/perSession)) {
			k := newKilling(t, seed, version)
			k.clean = seed%4 == 0
			for !k.client.Open() || !k.server.Open() || len(k.client.store().values)+len(k.server.store().values) < 2 {
				if !k.step() {
					t.Fatalf("seed %d: the handshake stands still: %v, %v", seed, k.client.err, k.server.err)
				}
			}
			for k.kills < perSession {
				for range k.random.IntN(100) {
					k.live()
				}
				k.kill(k.sides()[k.random.IntN(2)])
			}
			for range 40 { // both talk until they hear each other again
				for _, d := range k.sides() {
					k.write(d, d.Engine)
				}
				k.advance(latency)
			}
			k.settle()
			k.count()
			for d, a := range k.writes {
				missing := a.written - len(a.got)
				if missing > a.excused {
					t.Fatalf("seed %d: of %d records of the %s, %d are lost, more than %d", seed, a.written, d.name, missing, a.excused)
				}
				lost += missing
			}
			k.workTime = nil
			for _, d := range k.sides() { // the keys may be new again
				k.drop(d)
			}
			k.exchange()
			kills, records = kills+k.kills, records+len(k.seen)
		}
		t.Logf("%d kills; %d records, no key and number twice; %d were lost", kills, records, lost)
	})
}
