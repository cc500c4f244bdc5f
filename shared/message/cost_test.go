package message_test

import (
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// What a stateless listener does with a hello: parse it and look at everything
// that decides the answer.
func lookAtHello(t testing.TB, body []byte) {
	var hello message.ClientHello
	if err := hello.Parse(body, protocol.Datagram); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, extension := range hello.Extensions.All() {
		total += len(extension)
	}
	if total == 0 || !hello.CipherSuites.Contains(0x1301) {
		t.Fatal("extensions or cipher suites are missing")
	}
	if last, ok := hello.Extensions.Last(); !ok || last != protocol.ExtSupportedVersions {
		t.Fatalf("the last extension is %v", last)
	}
	versionsBody, _ := hello.Extensions.Find(protocol.ExtSupportedVersions)
	if versions, err := message.ParseSupportedVersions(versionsBody); err != nil || !versions.Contains(0xfefc) {
		t.Fatalf("supported_versions: %x, %v", versions, err)
	}
	groupsBody, _ := hello.Extensions.Find(protocol.ExtSupportedGroups)
	groups, err := message.ParseSupportedGroups(groupsBody)
	if err != nil {
		t.Fatal(err)
	}
	sharesBody, _ := hello.Extensions.Find(protocol.ExtKeyShare)
	shares, err := message.ParseKeyShares(sharesBody)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for group := range groups.All() {
		if _, ok := shares.Find(group); ok {
			found++
		}
	}
	for _, key := range shares.All() {
		found += len(key)
	}
	if found != 2+32+1216 {
		t.Fatalf("two shares of 32 and 1216 bytes add up to %d", found)
	}
	if cookieBody, ok := hello.Extensions.Find(protocol.ExtCookie); ok {
		if _, err := message.ParseCookie(cookieBody); err != nil {
			t.Fatal(err)
		}
	}
}

// browserHello is a hello as large as those of today, with extra extensions that
// nobody knows.
func browserHello(extra int) []byte {
	s := newSource(1)
	groups := []message.KeyShare{{Group: 0x11ec, Key: s.bytes(1216, 1216)}, {Group: 0x1d, Key: s.bytes(32, 32)}}
	block := appended(func(b *wire.Builder) {
		message.AppendExtension(b, protocol.ExtSupportedGroups, func() {
			message.AppendSupportedGroups(b, message.MakeUint16s([]uint16{0x11ec, 0x1d}))
		})
		message.AppendExtension(b, protocol.ExtKeyShare, func() { message.AppendKeyShares(b, groups) })
		message.AppendExtension(b, protocol.ExtCookie, func() { message.AppendCookie(b, s.bytes(64, 64)) })
		for i := range extra {
			message.AppendExtension(b, protocol.ExtensionType(0x4000+i), func() {})
		}
		message.AppendExtension(b, protocol.ExtSupportedVersions, func() {
			message.AppendSupportedVersions(b, message.MakeUint16s([]protocol.Version{protocol.VersionDTLS13}))
		})
	})
	hello := clientHello(s, nil)
	hello.CipherSuites = message.MakeUint16s([]uint16{0x1302, 0x1301})
	hello.Extensions = block
	return appendMessage(hello, protocol.VersionDTLS13)
}

func TestClientHelloDoesNotAllocate(t *testing.T) {
	for _, extra := range []int{0, 20, 200, 15000} {
		body := browserHello(extra)
		if n := testing.AllocsPerRun(20, func() { lookAtHello(t, body) }); n != 0 {
			t.Errorf("with %d more extensions: %v allocations, want 0", extra, n)
		}
	}
}

func TestStatelessAnswersDoNotAllocate(t *testing.T) {
	verify := message.HelloVerifyRequest{Version: protocol.VersionDTLS12, Cookie: make([]byte, 32)}
	cookie, buf := make([]byte, 64), make([]byte, 0, 512)
	retry := message.ServerHello{Version: protocol.VersionDTLS12, Random: message.HelloRetryRandom[:], CipherSuite: 0x1301}
	extensions := make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		b := wire.NewBuilder(buf)
		verify.Append(b)
		e := wire.NewBuilder(extensions)
		message.AppendExtension(e, protocol.ExtSupportedVersions, func() { message.AppendSelectedVersion(e, protocol.VersionDTLS13) })
		message.AppendExtension(e, protocol.ExtKeyShare, func() { message.AppendKeyShareRetry(e, 0x1d) })
		message.AppendExtension(e, protocol.ExtCookie, func() { message.AppendCookie(e, cookie) })
		retry.Extensions, _ = e.Bytes()
		retry.Append(b)
		if p, err := b.Bytes(); err != nil || len(p) != 35+2+32+1+3+2+6+6+70 {
			t.Fatalf("%d bytes, %v", len(p), err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// manyExtensions is EncryptedExtensions with n empty extensions.
func manyExtensions(n int) []byte {
	return appended(func(b *wire.Builder) {
		b.Vector16(func() {
			for i := range n {
				message.AppendExtension(b, protocol.ExtensionType(i), func() {})
			}
		})
	})
}

// manyShares is key_share with n shares of one byte.
func manyShares(n int) []byte {
	shares := make([]message.KeyShare, n)
	for i := range shares {
		shares[i] = message.KeyShare{Group: uint16(i), Key: []byte{1}}
	}
	return appended(func(b *wire.Builder) { message.AppendKeyShares(b, shares) })
}

// entryLists are the lists in which no key may be twice, with the most entries that
// their length of two bytes allows.
var entryLists = []struct {
	name  string
	most  int
	list  func(n int) []byte
	parse func(body []byte) error
}{
	{"extensions", 65535 / 4, manyExtensions, func(body []byte) error { return new(message.EncryptedExtensions).Parse(body) }},
	{"key shares", 65535 / 5, manyShares, func(body []byte) error {
		_, err := message.ParseKeyShares(body)
		return err
	}},
}

// The longest lists take no heap either: whoever looks for a key that is there twice
// keeps nothing that grows with them. That it takes no more than linear time is
// for BenchmarkManyEntries to say.
func TestManyEntriesDoNotAllocate(t *testing.T) {
	for _, l := range entryLists {
		body := l.list(l.most)
		if n := testing.AllocsPerRun(20, func() {
			if err := l.parse(body); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%d %s: %v allocations, want 0", l.most, l.name, n)
		}
	}
}

// BenchmarkManyEntries has the time for an entry, which is the same in a long list as in
// a shorter one: comparing each with each would take 16 times as long there.
func BenchmarkManyEntries(b *testing.B) {
	for _, l := range entryLists {
		for _, n := range []int{l.most / 16, l.most} {
			body := l.list(n)
			b.Run(fmt.Sprintf("%s/%d", l.name, n), func(b *testing.B) {
				for b.Loop() {
					if err := l.parse(body); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
			})
		}
	}
}

func BenchmarkClientHello(b *testing.B) {
	for _, bench := range []struct {
		name  string
		extra int
	}{{"browser", 15}, {"attacker", 15000}} {
		body := browserHello(bench.extra)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				lookAtHello(b, body)
			}
		})
	}
}
