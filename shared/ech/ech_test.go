package ech

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A description is what a test wants of a config.
type description struct {
	kem        uint16
	suites     []Suite
	name       string
	extensions []byte
}

var usual = description{kem: hpke.DHKEM(ecdh.X25519()).ID(), suites: []Suite{{1, 1}, {1, 3}}, name: "public.example"}

// make returns an ECHConfig and its private key.
func (d description) make(t testing.TB) (config, private []byte) {
	t.Helper()
	key, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var b wire.Builder
	b.Uint16(version)
	b.Vector16(func() {
		b.Uint8(7)
		b.Uint16(d.kem)
		b.Bytes16(key.PublicKey().Bytes())
		b.Vector16(func() {
			for _, s := range d.suites {
				b.Uint16(s.KDF)
				b.Uint16(s.AEAD)
			}
		})
		b.Uint8(32)
		b.Bytes8([]byte(d.name))
		b.Bytes16(d.extensions)
	})
	config, _ = b.Bytes()
	private, _ = key.Bytes()
	return config, private
}

func list(configs ...[]byte) []byte {
	var b wire.Builder
	AppendConfigList(&b, configs)
	out, _ := b.Bytes()
	return out
}

func TestParseConfigList(t *testing.T) {
	known, _ := usual.make(t)
	unknown := []byte{0xfe, 0x0c, 0, 2, 1, 2}
	configs, err := ParseConfigList(list(unknown, known, known))
	if err != nil || len(configs) != 2 {
		t.Fatalf("%d configs, %v", len(configs), err)
	}
	c := configs[1]
	if c.ID != 7 || c.PublicName != "public.example" || c.MaxName != 32 || !slices.Equal(c.Suites, usual.suites) || !bytes.Equal(c.Raw, known) || !c.Usable() {
		t.Errorf("the config is %+v", c)
	}
	whole := list(known)
	for n := range whole {
		if _, err := ParseConfigList(whole[:n]); !errors.Is(err, ErrConfig) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	cutShort := known[:len(known)-1]
	halfASuite, halfAnExtension := usual, usual
	halfASuite.suites, halfAnExtension.extensions = nil, []byte{0, 1, 0}
	half, _ := halfASuite.make(t)
	suitesAt := 4 + 1 + 2 + 2 + 32
	half = slices.Insert(half, suitesAt+2, 0, 1)
	half[suitesAt+1], half[3] = 2, half[3]+2
	extension, _ := halfAnExtension.make(t)
	for what, bad := range map[string][]byte{"cut short": cutShort, "half a suite": half, "half an extension": extension} {
		if _, err := ParseConfigList(list(bad)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := ParseConfig(bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%s, alone: %v", what, err)
		}
	}
	for n := 5; n < len(known); n++ { // cut inside, with lengths that fit
		cut := slices.Clone(known[:n])
		cut[2], cut[3] = byte((n-4)>>8), byte(n-4)
		if _, err := ParseConfigList(list(cut)); !errors.Is(err, ErrConfig) {
			t.Errorf("a config of %d bytes, cut to %d: %v", len(known), n, err)
		}
	}
}

func TestSelect(t *testing.T) {
	with := func(change func(*description)) []byte {
		d := usual
		change(&d)
		config, _ := d.make(t)
		return config
	}
	good := with(func(*description) {})
	for name, bad := range map[string][]byte{
		"KEM":                 with(func(d *description) { d.kem = 0x7777 }),
		"suites":              with(func(d *description) { d.suites = []Suite{{0x11, 0x22}} }),
		"AEAD that exports":   with(func(d *description) { d.suites = []Suite{{1, 0xffff}} }),
		"underscore":          with(func(d *description) { d.name = "a_b.example" }),
		"empty label":         with(func(d *description) { d.name = "a..example" }),
		"address":             with(func(d *description) { d.name = "192.0.2.1" }),
		"address in hex":      with(func(d *description) { d.name = "192.0.2.0x1" }),
		"mandatory extension": with(func(d *description) { d.extensions = []byte{0x80, 1, 0, 0} }),
	} {
		configs, err := ParseConfigList(list(bad, good))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := Select(configs); !ok || got != configs[1] {
			t.Errorf("%s: the unusable config is taken", name)
		}
		if _, ok := Select(configs[:1]); ok {
			t.Errorf("%s: usable", name)
		}
	}
	ignorable, _ := ParseConfig(with(func(d *description) { d.extensions = []byte{0, 1, 0, 0} }))
	if !ignorable.Usable() {
		t.Error("an unknown extension that may be ignored makes a config unusable")
	}
}

func extensions(entries ...[]byte) message.Extensions { return slices.Concat(entries...) }

func extension(t protocol.ExtensionType, body ...byte) []byte {
	var b wire.Builder
	message.AppendExtension(&b, t, func() { b.Raw(body) })
	out, _ := b.Bytes()
	return out
}

var (
	marked   = extension(protocol.ExtEncryptedClientHello, inner)
	versions = extension(protocol.ExtSupportedVersions, 2, 3, 4)
	groups   = extension(protocol.ExtSupportedGroups, 0, 2, 0, 29)
	protos   = extension(protocol.ExtALPN, 0, 3, 2, 'h', '2')
)

func hello(block message.Extensions) *message.ClientHello {
	return &message.ClientHello{
		Version: protocol.VersionTLS12, Random: bytes.Repeat([]byte{3}, 32), SessionID: bytes.Repeat([]byte{4}, 32),
		CipherSuites: message.MakeUint16s([]uint16{0x1301}), Compression: []byte{0}, Extensions: block,
	}
}

func body(h *message.ClientHello, t protocol.Transport) []byte {
	var b wire.Builder
	h.Append(&b, t)
	out, _ := b.Bytes()
	return out
}

// An inner hello comes out as it went in, with the outer one's extensions in
// the place where they were.
func TestSealAndOpen(t *testing.T) {
	config, private := usual.make(t)
	key, err := ParseKey(config, private)
	if err != nil {
		t.Fatal(err)
	}
	otherConfig, otherPrivate := usual.make(t) // with the same ID
	other, _ := ParseKey(otherConfig, otherPrivate)
	for _, transport := range []protocol.Transport{protocol.Stream, protocol.Datagram} {
		sender, err := NewSender(key.Config)
		if err != nil {
			t.Fatal(err)
		}
		var receiver *Receiver
		for n := range 2 {
			in := hello(extensions(marked, versions, groups, protos))
			shared := []protocol.ExtensionType{protocol.ExtSupportedGroups, protocol.ExtALPN}
			encoded, err := Encode(in, shared, 32, transport)
			if err != nil || len(encoded)%32 != 0 {
				t.Fatalf("%d bytes, %v", len(encoded), err)
			}
			var room wire.Builder
			message.AppendExtension(&room, protocol.ExtEncryptedClientHello, func() { sender.Room(&room, len(encoded)) })
			space, _ := room.Bytes()
			out := hello(extensions(versions, groups, extension(protocol.ExtCookie, 0, 1, 1), protos, space))
			sealed := body(out, transport)
			if err := sender.Seal(sealed, encoded, transport); err != nil {
				t.Fatal(err)
			}
			var parsed message.ClientHello
			if err := parsed.Parse(sealed, transport); err != nil {
				t.Fatal(err)
			}
			ext, _ := parsed.Extensions.Find(protocol.ExtEncryptedClientHello)
			o, err := Parse(ext)
			if err != nil || o == nil {
				t.Fatal(err)
			}
			var opened []byte
			if n == 0 {
				receiver, opened, err = Open([]*Key{other, key}, sealed, &parsed, o, transport)
			} else {
				if len(o.Enc) != 0 {
					t.Error("the second hello has a key of its own")
				}
				for what, c := range map[string]struct {
					change func(o *Outer)
					want   alert.Alert
				}{
					"another suite":  {func(o *Outer) { o.Suite.AEAD = 3 }, alert.IllegalParameter},
					"another config": {func(o *Outer) { o.ConfigID++ }, alert.IllegalParameter},
					"a new key":      {func(o *Outer) { o.Enc = make([]byte, 32) }, alert.IllegalParameter},
					"other bytes":    {func(o *Outer) { o.Payload = make([]byte, len(o.Payload)) }, alert.DecryptError},
				} {
					changed := *o
					c.change(&changed)
					var refused *alert.Error
					if got, err := receiver.OpenAgain(sealed, &parsed, &changed, transport); got != nil || !errors.As(err, &refused) || refused.Alert != c.want {
						t.Errorf("the second hello with %s: %x, %v", what, got, err)
					}
				}
				opened, err = receiver.OpenAgain(sealed, &parsed, o, transport)
			}
			if want := body(in, transport); err != nil || !bytes.Equal(opened, want) {
				t.Fatalf("opened\n%x, %v, want\n%x", opened, err, want)
			}
			if n == 0 {
				if r, got, err := Open([]*Key{other}, sealed, &parsed, o, transport); r != nil || got != nil || err != nil {
					t.Errorf("with another key: %x, %v", got, err)
				}
				short := *o
				short.Enc = o.Enc[1:]
				if r, got, err := Open([]*Key{key}, sealed, &parsed, &short, transport); r != nil || got != nil || err != nil {
					t.Errorf("with half of its key: %x, %v", got, err)
				}
				sealed[2] ^= 1 // what is authenticated with it
				if _, got, _ := Open([]*Key{key}, sealed, &parsed, o, transport); got != nil {
					t.Error("an outer hello that was changed")
				}
			}
		}
	}
}

// A key that is none of its KEM can't be used, by either side.
func TestUnusableKeys(t *testing.T) {
	odd := usual
	odd.kem = hpke.DHKEM(ecdh.P256()).ID()
	config, private := odd.make(t)
	c, err := ParseConfig(config)
	if err != nil || c.Usable() {
		t.Errorf("a key of X25519 for P-256 can be used: %v", err)
	}
	if _, err := NewSender(c); err == nil {
		t.Error("and sent to")
	}
	if _, err := ParseKey(config, private[1:]); err == nil {
		t.Error("a private key that is too short")
	}
	odd.kem = 0x7a7a
	unknown, _ := odd.make(t)
	if _, err := ParseKey(unknown, private); !errors.Is(err, ErrConfig) {
		t.Errorf("a KEM that nobody has: %v", err)
	}
	if _, err := ParseKey(config[1:], private); !errors.Is(err, ErrConfig) {
		t.Errorf("half a config: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	outer := hello(extensions(versions, groups, protos))
	named := func(types ...byte) []byte {
		return extension(protocol.ExtECHOuterExtensions, append([]byte{byte(len(types))}, types...)...)
	}
	for _, test := range []struct {
		name   string
		block  message.Extensions
		reason alert.Reason
	}{
		{"no mark", extensions(versions), alert.BadInnerHello},
		{"mark of an outer", extensions(extension(protocol.ExtEncryptedClientHello, 0), versions), alert.BadInnerHello},
		{"1.2", extensions(marked, extension(protocol.ExtSupportedVersions, 4, 3, 4, 3, 3)), alert.BadInnerHello},
		{"no versions", extensions(marked), alert.BadInnerHello},
		{"an extension twice", extensions(marked, versions, groups, named(0, 10)), alert.BadInnerHello},
		{"not there", extensions(marked, versions, named(0, 35)), alert.BadOuterExtensions},
		{"other order", extensions(marked, versions, named(0, 16, 0, 10)), alert.BadOuterExtensions},
		{"itself", extensions(marked, versions, named(0xfe, 0x0d)), alert.BadOuterExtensions},
		{"half a type", extensions(marked, versions, named(0)), alert.BadOuterExtensions},
		{"empty list", extensions(marked, versions, named()), alert.BadOuterExtensions},
	} {
		in := hello(test.block)
		in.SessionID = nil
		if _, err := decode(body(in, protocol.Stream), outer, protocol.Stream); !errors.Is(err, test.reason) {
			t.Errorf("%s: %v, expected %v", test.name, err, test.reason)
		}
	}
	good := hello(extensions(marked, versions))
	if _, err := decode(body(good, protocol.Stream), outer, protocol.Stream); !errors.Is(err, alert.MisencodedInnerHello) {
		t.Errorf("a session ID: %v", err)
	}
	good.SessionID = nil
	encoded := append(body(good, protocol.Stream), make([]byte, 40)...)
	if _, err := decode(encoded, outer, protocol.Stream); err != nil {
		t.Error(err)
	}
	encoded[len(encoded)-1] = 1
	if _, err := decode(encoded, outer, protocol.Stream); !errors.Is(err, alert.MisencodedInnerHello) {
		t.Errorf("padding: %v", err)
	}
	for n := range body(good, protocol.Stream) {
		if _, err := decode(encoded[:n], outer, protocol.Stream); !errors.Is(err, alert.MisencodedInnerHello) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestParseExtension(t *testing.T) {
	var b wire.Builder
	want := Outer{Suite: Suite{1, 2}, ConfigID: 3, Enc: []byte{4}, Payload: []byte{5, 6}}
	want.Append(&b)
	whole, _ := b.Bytes()
	got, err := Parse(whole)
	if err != nil || got.Suite != want.Suite || got.ConfigID != 3 || !bytes.Equal(got.Enc, want.Enc) || !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range whole {
		if _, err := Parse(whole[:n]); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
	if o, err := Parse([]byte{inner}); o != nil || err != nil {
		t.Errorf("an inner one: %v, %v", o, err)
	}
	for _, bad := range [][]byte{{2}, {inner, 0}, append(slices.Clone(whole), 0)} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("% x is taken", bad)
		}
	}
}

// GREASE can't be told from an encrypted hello by its form.
func TestGrease(t *testing.T) {
	var b wire.Builder
	if err := Grease(&b, 200); err != nil {
		t.Fatal(err)
	}
	raw, _ := b.Bytes()
	o, err := Parse(raw)
	if err != nil || len(o.Enc) != 32 || (len(o.Payload)-tagLen)%paddedTo != 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

// The length of a name doesn't show, as long as the config has room for it.
func TestEncodeHidesLengths(t *testing.T) {
	lengths := map[int]bool{}
	for _, name := range []string{"a.example", "a-much-longer-name.example"} {
		var b wire.Builder
		message.AppendServerName(&b, name)
		sni, _ := b.Bytes()
		encoded, err := Encode(hello(extensions(marked, extension(protocol.ExtServerName, sni...), versions)), nil, 32, protocol.Stream)
		if err != nil {
			t.Fatal(err)
		}
		lengths[len(encoded)] = true
	}
	encoded, _ := Encode(hello(extensions(marked, versions)), nil, 32, protocol.Stream)
	if lengths[len(encoded)] = true; len(lengths) != 1 {
		t.Errorf("hellos with other names have other lengths: %v", lengths)
	}
}

func FuzzConfigList(f *testing.F) {
	config, _ := usual.make(f)
	f.Add(list(config))
	f.Fuzz(func(t *testing.T, in []byte) {
		configs, err := ParseConfigList(in)
		if err != nil {
			return
		}
		for _, c := range configs {
			again, err := ParseConfig(c.Raw)
			if err != nil || again.PublicName != c.PublicName || again.Usable() != c.Usable() {
				t.Errorf("%x: %v", c.Raw, err)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	good := hello(extensions(marked, versions, groups))
	good.SessionID = nil
	f.Add(body(good, protocol.Stream), []byte(extensions(versions, groups)))
	f.Fuzz(func(t *testing.T, encoded, block []byte) {
		outer := hello(block)
		if (&message.ClientHello{}).Parse(body(outer, protocol.Stream), protocol.Stream) != nil {
			return
		}
		inner, err := decode(encoded, outer, protocol.Stream)
		if err == nil && (&message.ClientHello{}).Parse(inner, protocol.Stream) != nil {
			t.Errorf("%x gives no ClientHello", encoded)
		}
	})
}

func FuzzExtension(f *testing.F) {
	random := make([]byte, 40)
	rand.Read(random)
	f.Add(append([]byte{0, 0, 1, 0, 1, 7, 0, 2, 1, 2, 0, 40}, random...))
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := Parse(in)
		if err != nil || o == nil {
			return
		}
		var b wire.Builder
		o.Append(&b)
		if out, _ := b.Bytes(); !bytes.Equal(in, out) {
			t.Errorf("%x becomes %x", in, out)
		}
	})
}
