package dtls

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// cookieHello returns a fresh copy of one ClientHello.
func cookieHello() *message.ClientHello {
	return &message.ClientHello{
		Random:       bytes.Repeat([]byte{7}, 32),
		CipherSuites: message.MakeUint16s([]uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256}),
		Compression:  []byte{0},
	}
}

// cookieChoices are what cookies of 1.3 must carry: every hash, and a group that
// was asked for.
var cookieChoices = []handshake.Choice{
	{Version: protocol.VersionDTLS13, Suite: suite.ByID(tls.TLS_AES_128_GCM_SHA256), Group: suite.GroupByID(tls.X25519MLKEM768)},
	{Version: protocol.VersionDTLS13, Suite: suite.ByID(tls.TLS_AES_256_GCM_SHA384), Group: suite.GroupByID(tls.CurveP384), NeedShare: true},
	{Version: protocol.VersionDTLS13, Suite: suite.ByID(tls.TLS_CHACHA20_POLY1305_SHA256), Group: suite.GroupByID(tls.X25519)},
}

// A baker makes and checks cookies of one version for one hello.
type baker struct {
	name  string
	bake  func(*cookieJar, netip.AddrPort, *message.ClientHello, time.Time) []byte
	valid func(*cookieJar, []byte, netip.AddrPort, *message.ClientHello, time.Time) bool
}

func bakers() []baker {
	all := []baker{{
		"1.2",
		func(j *cookieJar, from netip.AddrPort, in *message.ClientHello, now time.Time) []byte {
			return j.append12(nil, from, in, now)
		},
		func(j *cookieJar, cookie []byte, from netip.AddrPort, in *message.ClientHello, now time.Time) bool {
			in.Cookie = cookie
			return j.verify12(from, in, now)
		},
	}}
	for _, choice := range cookieChoices {
		all = append(all, baker{
			"1.3 " + choice.Suite.Name,
			func(j *cookieJar, from netip.AddrPort, in *message.ClientHello, now time.Time) []byte {
				return j.append13(nil, choice, from, in, []byte("the first hello"), now)
			},
			func(j *cookieJar, cookie []byte, from netip.AddrPort, in *message.ClientHello, now time.Time) bool {
				got, hash, ok := j.verify13(cookie, from, in, now)
				return ok && got == choice && len(hash) == choice.Suite.Hash.Size()
			},
		})
	}
	return all
}

// RFC 9147 11 [3, 4]; RFC 6347 4.2.1 [6]
func TestCookie(t *testing.T) {
	now := epochOfSimulation
	for _, b := range bakers() {
		t.Run(b.name, func(t *testing.T) {
			jar := newCookieJar(nil, now)
			cookie := b.bake(jar, someAddr, cookieHello(), now)
			if !b.valid(jar, cookie, someAddr, cookieHello(), now) {
				t.Fatal("a fresh cookie is refused")
			}
			if !b.valid(jar, cookie, someAddr, cookieHello(), now.Add(cookieLifetime)) {
				t.Error("a cookie is refused in its time")
			}
			if b.valid(jar, cookie, someAddr, cookieHello(), now.Add(cookieLifetime+time.Second)) {
				t.Error("a cookie is taken after its time")
			}
			if !b.valid(jar, cookie, someAddr, cookieHello(), now.Add(-cookieLifetime)) {
				t.Error("a cookie is refused since another process's clock is ahead")
			}
			if b.valid(jar, cookie, someAddr, cookieHello(), now.Add(-cookieLifetime-time.Second)) {
				t.Error("a cookie of the far future is taken")
			}
			for i := range cookie {
				for bit := range 8 {
					altered := bytes.Clone(cookie)
					altered[i] ^= 1 << bit
					if b.valid(jar, altered, someAddr, cookieHello(), now) {
						t.Errorf("bit %d of byte %d may change", bit, i)
					}
				}
				if b.valid(jar, cookie[:i], someAddr, cookieHello(), now) {
					t.Errorf("the first %d bytes are taken", i)
				}
			}
			if b.valid(jar, append(bytes.Clone(cookie), 0), someAddr, cookieHello(), now) {
				t.Error("a byte more is taken")
			}
			for _, addr := range []string{"192.0.2.1:1001", "192.0.2.2:1000", "[2001:db8::1]:1000"} {
				if b.valid(jar, cookie, netip.MustParseAddrPort(addr), cookieHello(), now) {
					t.Errorf("taken from %s", addr)
				}
			}
			for name, change := range map[string]func(*message.ClientHello){
				"random":      func(in *message.ClientHello) { in.Random[0]++ },
				"session_id":  func(in *message.ClientHello) { in.SessionID = []byte{1} },
				"suites":      func(in *message.ClientHello) { in.CipherSuites = in.CipherSuites[:2] },
				"compression": func(in *message.ClientHello) { in.Compression = []byte{0, 1} },
				// The parts must not run into each other.
				"boundaries": func(in *message.ClientHello) {
					in.SessionID, in.Random = in.Random[31:], in.Random[:31]
				},
			} {
				hello := cookieHello()
				change(hello)
				if b.valid(jar, cookie, someAddr, hello, now) {
					t.Errorf("taken with another %s", name)
				}
			}
			if b.valid(newCookieJar(nil, now), cookie, someAddr, cookieHello(), now) {
				t.Error("taken by another server")
			}
		})
	}
}

// A cookie of one version is none of the other.
func TestCookieOfOtherVersion(t *testing.T) {
	now := epochOfSimulation
	jar := newCookieJar(nil, now)
	all := bakers()
	for _, a := range all {
		for _, b := range all {
			if a.name != b.name && b.valid(jar, a.bake(jar, someAddr, cookieHello(), now), someAddr, cookieHello(), now) {
				t.Errorf("a cookie for %s is taken for %s", a.name, b.name)
			}
		}
	}
}

// GnuTLS, and all that know DTLS 1.0, take no cookie above 32 bytes in 1.2.
func TestCookieSizes(t *testing.T) {
	jar := newCookieJar(nil, epochOfSimulation)
	for _, b := range bakers() {
		most := maxCookieSize
		if b.name == "1.2" {
			most = 32
		}
		if n := len(b.bake(jar, someAddr, cookieHello(), epochOfSimulation)); n > most {
			t.Errorf("%s: %d bytes, want at most %d", b.name, n, most)
		}
	}
}

// Keys of our own rotate, and a cookie outlives the rotation after it was made.
//
// RFC 9147 5.1 [4]
func TestCookieKeysRotate(t *testing.T) {
	b := bakers()[0]
	start := epochOfSimulation
	jar := newCookieJar(nil, start)
	keys := func() int { return len(jar.keys) }
	b.bake(jar, someAddr, cookieHello(), start.Add(keyLifetime))
	if keys() != 1 {
		t.Fatalf("%d keys before the first rotation", keys())
	}
	old := jar.keys[0]
	cookie := b.bake(jar, someAddr, cookieHello(), start.Add(keyLifetime))
	later := start.Add(keyLifetime + time.Second)
	fresh := b.bake(jar, someAddr, cookieHello(), later)
	if keys() != 2 || jar.keys[1] != old || jar.keys[0] == old {
		t.Fatalf("%d keys after the first rotation", keys())
	}
	for _, c := range [][]byte{cookie, fresh} {
		if !b.valid(jar, c, someAddr, cookieHello(), later) {
			t.Error("a cookie is refused after the rotation")
		}
	}
	for i := range 10 {
		b.bake(jar, someAddr, cookieHello(), later.Add(time.Duration(i)*2*keyLifetime))
	}
	if keys() != 2 {
		t.Errorf("%d keys after many rotations", keys())
	}
}

// Given keys verify across processes, the first makes cookies, and they stay.
func TestCookieKeysGiven(t *testing.T) {
	now := epochOfSimulation
	for _, b := range bakers() {
		one, two := [32]byte{1}, [32]byte{2}
		old, both, fresh := newCookieJar([][32]byte{one}, now), newCookieJar([][32]byte{two, one}, now), newCookieJar([][32]byte{two}, now)
		cookie := func(j *cookieJar) []byte { return b.bake(j, someAddr, cookieHello(), now) }
		for _, test := range []struct {
			by, from *cookieJar
			want     bool
		}{{both, old, true}, {both, fresh, true}, {fresh, both, true}, {old, both, false}, {fresh, old, false}} {
			if got := b.valid(test.by, cookie(test.from), someAddr, cookieHello(), now); got != test.want {
				t.Errorf("%s: taken %v, want %v", b.name, got, test.want)
			}
		}
		before := cookie(old)
		long := now.Add(time.Hour)
		if !bytes.Equal(b.bake(old, someAddr, cookieHello(), now), before) || len(old.keys) != 1 {
			t.Errorf("%s: the same cookie differs", b.name)
		}
		b.bake(old, someAddr, cookieHello(), long)
		if !b.valid(old, before, someAddr, cookieHello(), now) {
			t.Errorf("%s: given keys rotated", b.name)
		}
		old.set([][32]byte{two, one}, now)
		if !b.valid(old, before, someAddr, cookieHello(), now) {
			t.Errorf("%s: a cookie of the last key is refused", b.name)
		}
		old.set(nil, now)
		if b.valid(old, before, someAddr, cookieHello(), now) {
			t.Errorf("%s: a cookie of a key that was taken away", b.name)
		}
	}
}

// What our key sealed is still checked: another version of this library may have
// made it.
func TestCookieUnknownChoice(t *testing.T) {
	now := epochOfSimulation
	jar := newCookieJar(nil, now)
	cookie := jar.append13(nil, cookieChoices[0], someAddr, cookieHello(), nil, now)
	for name, change := range map[string]func(fields []byte) []byte{
		"suite": func(f []byte) []byte { f[cookieTimeSize]++; return f },
		"group": func(f []byte) []byte { f[cookieTimeSize+2] = 0x77; return f },
		"hash":  func(f []byte) []byte { return f[:len(f)-1] },
	} {
		fields := change(bytes.Clone(cookie[:len(cookie)-cookieMACSize]))
		altered := append(fields, jar.seal(jar.keys[0], protocol.VersionDTLS13, fields, someAddr, cookieHello())...)
		if _, _, ok := jar.verify13(altered, someAddr, cookieHello(), now); ok {
			t.Errorf("taken with another %s", name)
		}
	}
}

func TestCookiesDoNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	now := epochOfSimulation
	jar := newCookieJar([][32]byte{{1}, {2}}, now)
	in, body, b := cookieHello(), []byte("the first hello"), make([]byte, 0, maxCookieSize)
	for _, choice := range cookieChoices {
		if n := testing.AllocsPerRun(100, func() {
			jar.append12(b, someAddr, in, now)
			cookie := jar.append13(b, choice, someAddr, in, body, now)
			jar.verify13(cookie, someAddr, in, now)
			cookie[len(cookie)-1]++
			jar.verify13(cookie, someAddr, in, now)
		}); n != 0 {
			t.Errorf("%s: %v allocations", choice.Suite.Name, n)
		}
	}
}

// TestCookieTellsNothing: what stands in a ClientHello, but for suite and group, doesn't
// stand in its cookie.
//
// RFC 9147 11 [5]
func TestCookieTellsNothing(t *testing.T) {
	hello := cookieHello()
	rand.Read(hello.Random)
	body := make([]byte, 1000)
	rand.Read(body)
	copy(body[2:], hello.Random)
	for _, choice := range cookieChoices {
		cookie := newCookieJar(nil, epochOfSimulation).append13(nil, choice, someAddr, hello, body, epochOfSimulation)
		for i := range len(body) - 3 {
			if bytes.Contains(cookie, body[i:i+4]) { // by chance once in 50,000 runs
				t.Errorf("bytes %d to %d of the hello are in the cookie", i, i+3)
			}
		}
	}
}
