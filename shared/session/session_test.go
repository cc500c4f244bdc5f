package session

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

var testTime = time.UnixMilli(1_772_366_400_123)

func example() *State {
	return &State{
		Version: protocol.VersionDTLS13, Suite: suite.TLS_AES_256_GCM_SHA384, Secret: bytes.Repeat([]byte{7}, 48),
		Created: testTime, Lifetime: MaxLifetime, AgeAdd: 1 << 31,
		FragmentLength: 512, MaxPlaintext: 511, MaxEarlyData: 1 << 14, Client: netip.MustParseAddr("192.0.2.1"),
		ServerName: "server.example", Protocol: "h2", RawPublicKey: []byte("key"), Chain: [][]byte{{1, 2}, {3}},
		Staple: []byte("staple"), Timestamps: [][]byte{{4}, {5, 6}},
		Group: 29, Signature: 0x0807, Ticket: []byte("ticket"),
		ExtendedMasterSecret: true, AcrossNames: true, SessionID: []byte("id"),
	}
}

func encode(t testing.TB, s *State) []byte {
	t.Helper()
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestState(t *testing.T) {
	for _, identity := range [][]byte{nil, {}, []byte("sensor")} {
		s := example()
		s.PSKIdentity = identity
		if got, err := ParseState(encode(t, s)); err != nil || (got.PSKIdentity == nil) != (identity == nil) || !bytes.Equal(got.PSKIdentity, identity) {
			t.Errorf("PSK identity %#v: %+v, %v", identity, got, err)
		}
	}
	truncated := example()
	truncated.PSKIdentity = []byte("sensor")
	raw := encode(t, truncated)
	at := bytes.Index(raw, []byte("sensor"))
	raw[at-1]++
	if _, err := ParseState(raw); err == nil {
		t.Error("a PSK identity that is longer than what it is in is read")
	}
	raw = encode(t, example())
	at = bytes.Index(raw, []byte{4, 192, 0, 2, 1}) // and an address of three bytes
	raw = slices.Delete(raw, at+4, at+5)
	raw[at] = 3
	if _, err := ParseState(raw); err == nil {
		t.Error("an address of three bytes is read")
	}
	raw = encode(t, example())
	got, err := ParseState(raw)
	if err != nil || !reflect.DeepEqual(got, example()) {
		t.Fatalf("%+v, %v", got, err)
	}
	raw[len(raw)-1] ^= 1
	if string(got.Ticket) != "ticket" {
		t.Error("the State shares memory with what it was read from")
	}
	for n := range raw {
		if _, err := ParseState(raw[:n]); err == nil {
			t.Errorf("a prefix of %d of %d bytes is read", n, len(raw))
		}
	}
	if _, err := ParseState(append(slices.Clone(raw), 0)); err == nil {
		t.Error("a byte too many is read")
	}
	for name, change := range map[string]func(*State){
		"version":      func(s *State) { s.Version = 0x0301 },
		"suite of 1.3": func(s *State) { s.Version = protocol.VersionDTLS12 },
		"master secret": func(s *State) {
			s.Version, s.Suite, s.Secret = protocol.VersionTLS12, suite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, s.Secret[:32]
		},
		"unknown suite":     func(s *State) { s.Suite = 0x2a2a },
		"suite of 1.2":      func(s *State) { s.Suite = suite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 },
		"secret":            func(s *State) { s.Secret = s.Secret[1:] },
		"lifetime":          func(s *State) { s.Lifetime += time.Second },
		"empty certificate": func(s *State) { s.Chain = append(s.Chain, nil) },
		"empty timestamp":   func(s *State) { s.Timestamps = append(s.Timestamps, nil) },
	} {
		s := example()
		change(s)
		if _, err := ParseState(encode(t, s)); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
	long := example()
	long.Ticket = make([]byte, 1<<16)
	if _, err := long.Bytes(); err == nil {
		t.Error("a ticket of 2^16 bytes is written")
	}
}

func TestAge(t *testing.T) {
	s := example()
	if got := s.Age(testTime.Add(1500 * time.Millisecond)); got != 1<<31+1500 {
		t.Error(got)
	}
	if got := s.Age(testTime.Add(1 << 31 * time.Millisecond)); got != 0 {
		t.Error("modulo 2^32:", got)
	}
	for age, want := range map[time.Duration]bool{
		0: false, MaxLifetime - 1: false, MaxLifetime: true, -time.Minute: false, -time.Hour: true,
	} {
		if got := s.Expired(testTime.Add(age)); got != want {
			t.Errorf("at %v: expired %v", age, got)
		}
	}
	s.Lifetime = 2 * MaxLifetime // of a State that somebody made himself
	if !s.Expired(testTime.Add(MaxLifetime)) {
		t.Error("it lives longer than seven days")
	}
}

func seal(t testing.TB, k *TicketKeys, s *State, now time.Time) []byte {
	t.Helper()
	ticket, err := k.Seal(s, now)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestTicketKeys(t *testing.T) {
	for _, given := range [][][32]byte{nil, {{1}}, {{1}, {2}}} {
		k := NewTicketKeys(given)
		ticket := seal(t, k, example(), testTime)
		if got := k.Open(ticket, testTime); !reflect.DeepEqual(got, example()) {
			t.Fatalf("%+v", got)
		}
		if bytes.Contains(ticket, []byte("server.example")) {
			t.Error("the ticket is readable")
		}
		if bytes.Equal(ticket, seal(t, k, example(), testTime)) {
			t.Error("two tickets are the same")
		}
		for i := range ticket {
			changed := slices.Clone(ticket)
			changed[i] ^= 0x10
			if k.Open(changed, testTime) != nil || k.Open(ticket[:i], testTime) != nil {
				t.Errorf("opens with byte %d changed, or cut there", i)
			}
		}
		if k.Open(ticket, testTime.Add(MaxLifetime)) != nil {
			t.Error("an expired ticket opens")
		}
		if NewTicketKeys(nil).Open(ticket, testTime) != nil || NewTicketKeys([][32]byte{{3}}).Open(ticket, testTime) != nil {
			t.Error("opens under other keys")
		}
	}
}

// Own keys rotate daily; a ticket opens for as long as it lives.
func TestRotation(t *testing.T) {
	const day = 24 * time.Hour
	k := NewTicketKeys(nil)
	first := seal(t, k, example(), testTime)
	for n := range 20 {
		now := testTime.Add(time.Duration(n) * day)
		s := example()
		s.Created = now
		ticket := seal(t, k, s, now)
		if n > 0 && bytes.Equal(ticket[:nameSize], first[:nameSize]) {
			t.Errorf("the key of day 0 seals on day %d", n)
		}
		if opens := k.Open(first, now) != nil; opens != (n < 7) {
			t.Errorf("day %d: the first ticket opens: %v", n, opens)
		}
		if len(k.keys) > 9 {
			t.Errorf("day %d: %d keys", n, len(k.keys))
		}
	}
	given := NewTicketKeys([][32]byte{{1}, {2}})
	before := seal(t, NewTicketKeys([][32]byte{{2}}), example(), testTime)
	if given.Open(before, testTime) == nil {
		t.Error("the second key does not open")
	}
	later := seal(t, given, example(), testTime.Add(100*day))
	if first := seal(t, given, example(), testTime); !bytes.Equal(later[:nameSize], first[:nameSize]) {
		t.Error("given keys rotate")
	}
}

// A ticket of somebody else costs no memory.
func TestUnknownTicketCost(t *testing.T) {
	k := NewTicketKeys([][32]byte{{1}, {2}})
	ticket := make([]byte, 60000)
	if n := testing.AllocsPerRun(100, func() {
		if k.Open(ticket, testTime) != nil {
			t.Error("opens")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC 9846 C.4 [1]
func TestCache(t *testing.T) {
	c := NewLRUCache(3)
	s := []*State{{AgeAdd: 0}, {AgeAdd: 1}, {AgeAdd: 2}, {AgeAdd: 3}}
	c.Put("a", s[0])
	c.Put("b", s[1])
	c.Put("a", s[2])
	c.Put("a", s[3]) // s[0] goes
	for _, want := range []*State{s[3], s[2]} {
		if got, ok := c.Get("a"); !ok || got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got, ok := c.Get("a"); ok {
		t.Error("a session comes out twice, or none", got)
	}
	if got, ok := c.Get("b"); !ok || got != s[1] {
		t.Error(got)
	}
	if _, ok := NewLRUCache(0).Get("b"); ok {
		t.Error("an empty cache has something")
	}
}

func FuzzParseState(f *testing.F) {
	f.Add(encode(f, example()))
	f.Add([]byte{format})
	unknown := encode(f, example())
	unknown[1+2+2+1+48+8+4+4] |= 0x80 // a flag
	f.Add(unknown)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState(data)
		if err != nil {
			return
		}
		if got := encode(t, s); !bytes.Equal(got, data) {
			t.Errorf("% x was written as % x", data, got)
		}
	})
}

func FuzzOpen(f *testing.F) {
	k := NewTicketKeys([][32]byte{{1}})
	f.Add(seal(f, k, example(), testTime))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s := k.Open(data, testTime); s != nil && !reflect.DeepEqual(s, example()) {
			t.Error("a forgery opens")
		}
	})
}

func TestStore(t *testing.T) {
	c := NewLRUStore(2)
	c.Put([]byte("a"), example())
	c.Put([]byte("b"), example())
	c.Put([]byte("a"), example()) // again: now b is the oldest
	c.Put([]byte("c"), example())
	for id, want := range map[string]bool{"a": true, "b": false, "c": true, "": false} {
		if _, ok := c.Get([]byte(id)); ok != want {
			t.Errorf("%q is there: %v", id, ok)
		}
	}
	if !c.Delete([]byte("a")) || c.Delete([]byte("a")) || c.Delete([]byte("b")) {
		t.Error("Delete says that it removed what wasn't there, or not what was")
	}
	if _, ok := c.Get([]byte("a")); ok {
		t.Error("a session is there that was deleted")
	}
}

// A ticket under a key that is not the newest is to be renewed.
func TestRenew(t *testing.T) {
	ticket, err := NewTicketKeys([][32]byte{{1}}).Seal(example(), testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys  [][32]byte
		renew bool
	}{{[][32]byte{{1}, {2}}, false}, {[][32]byte{{2}, {1}}, true}} {
		if s := NewTicketKeys(c.keys).Open(ticket, testTime); s == nil || s.Renew != c.renew {
			t.Errorf("keys %v: %+v", c.keys, s)
		}
	}
	own := new(TicketKeys)
	if ticket, err = own.Seal(example(), testTime); err != nil {
		t.Fatal(err)
	}
	later := testTime.Add(keyLifetime)
	if s := own.Open(ticket, later); s == nil || !s.Renew {
		t.Errorf("after the key's time: %+v", s)
	}
}
