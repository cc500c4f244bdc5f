package suite

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/tls"
	"errors"
	"testing"
	"testing/cryptotest"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func generate(t testing.TB, id tls.CurveID) *PrivateKey {
	t.Helper()
	keys, err := Generate(id)
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

func expectIllegalParameter(t testing.TB, what string, err error) {
	t.Helper()
	var fault *alert.Error
	if !errors.As(err, &fault) || fault.Alert != alert.IllegalParameter || fault.Fault != alert.Peer {
		t.Errorf("%s: got %v, expected illegal_parameter of the peer", what, err)
	}
}

// Lengths and order of the table are those of the hybrid drafts and RFC 8422.
//
// RFC 9846 9.1 [3], B.3.1.4 [1]
func TestGroupsAgree(t *testing.T) {
	for i, c := range []struct {
		id                     tls.CurveID
		name                   string
		hybrid                 bool
		client, server, secret int
	}{
		{0x11ec, "X25519MLKEM768", true, 1184 + 32, 1088 + 32, 32 + 32},
		{29, "x25519", false, 32, 32, 32},
		{23, "secp256r1", false, 65, 65, 32},
		{24, "secp384r1", false, 97, 97, 48},
		{25, "secp521r1", false, 133, 133, 66},
		{0x11eb, "SecP256r1MLKEM768", true, 65 + 1184, 65 + 1088, 32 + 32},
		{0x11ed, "SecP384r1MLKEM1024", true, 97 + 1568, 97 + 1568, 48 + 32},
		{0x0202, "MLKEM1024", true, 1568, 1568, 32},
	} {
		g := Groups[i]
		if g.ID != c.id || g.Name != c.name || g.PostQuantum != c.hybrid || GroupByID(c.id) != g || GroupByName(c.name) != g {
			t.Errorf("row %d is %v %s, expected %v %s", i, g.ID, g.Name, c.id, c.name)
			continue
		}
		k := generate(t, c.id)
		share, secret, err := g.Respond(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Shared(share)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, secret) {
			t.Errorf("%s: the sides don't agree", c.name)
		}
		if k.Group() != g || len(k.Public()) != c.client || len(share) != c.server || len(secret) != c.secret {
			t.Errorf("%s: client %d, server %d, secret %d bytes", c.name, len(k.Public()), len(share), len(secret))
		}
	}
	if len(Groups) != 8 || GroupByID(256) != nil || GroupByName("ffdhe2048") != nil {
		t.Error("expected exactly eight groups")
	}
}

// Where 1.2 uses a group, both sides only have a key.
func TestPlainGroupsAreSymmetric(t *testing.T) {
	for _, g := range Groups {
		if g.PostQuantum {
			continue
		}
		one, other := generate(t, g.ID), generate(t, g.ID)
		a, errA := one.Shared(other.Public())
		b, errB := other.Shared(one.Public())
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %x (%v) and %x (%v)", g.Name, a, errA, b, errB)
		}
	}
}

// RFC 8448 3.
func TestX25519KnownAnswer(t *testing.T) {
	key, err := ecdh.X25519().NewPrivateKey(unhex(t, "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005"))
	if err != nil {
		t.Fatal(err)
	}
	k := &PrivateKey{group: GroupByID(tls.X25519), curve: key}
	if want := unhex(t, "99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c"); !bytes.Equal(k.Public(), want) {
		t.Errorf("public key %x", k.Public())
	}
	secret, err := k.Shared(unhex(t, "c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f"))
	if want := unhex(t, "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"); err != nil || !bytes.Equal(secret, want) {
		t.Errorf("secret %x, %v", secret, err)
	}
}

// The layouts, taken apart without the code under test.
func TestHybridLayout(t *testing.T) {
	for _, c := range []struct {
		id         tls.CurveID
		curveFirst bool
		curve      ecdh.Curve
		public     int
		secret     int
	}{
		{tls.X25519MLKEM768, false, ecdh.X25519(), 32, 32},
		{tls.SecP256r1MLKEM768, true, ecdh.P256(), 65, 32},
	} {
		cut := func(b []byte, n int) (curve, kem []byte) {
			if c.curveFirst {
				return b[:n], b[n:]
			}
			return b[len(b)-n:], b[:len(b)-n]
		}
		k := generate(t, c.id)
		public, encapsulation := cut(k.Public(), c.public)
		encapsulator, err := mlkem.NewEncapsulationKey768(encapsulation)
		if err != nil {
			t.Fatal(err)
		}
		fromKEM, ciphertext := encapsulator.Encapsulate()
		server, err := c.curve.NewPrivateKey(bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		client, err := c.curve.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		fromCurve, err := server.ECDH(client)
		if err != nil {
			t.Fatal(err)
		}
		share := append(bytes.Clone(ciphertext), server.PublicKey().Bytes()...)
		if c.curveFirst {
			share = append(server.PublicKey().Bytes(), ciphertext...)
		}
		secret, err := k.Shared(share)
		if err != nil {
			t.Fatal(err)
		}
		gotCurve, gotKEM := cut(secret, c.secret)
		if !bytes.Equal(gotCurve, fromCurve) || !bytes.Equal(gotKEM, fromKEM) {
			t.Errorf("%v: secret %x, expected parts %x and %x", c.id, secret, fromCurve, fromKEM)
		}
	}
}

// RFC 9846 4.3.8 [3]
func TestGenerateSharesCurveKeys(t *testing.T) {
	keys, err := Generate(tls.X25519MLKEM768, tls.X25519, tls.CurveP256)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		if keys[i].Group().ID != id {
			t.Errorf("key %d is of %v, expected %v", i, keys[i].Group().ID, id)
		}
	}
	if !bytes.HasSuffix(keys[0].Public(), keys[1].Public()) {
		t.Error("X25519MLKEM768 and X25519 have different keys of the curve")
	}
	if bytes.Equal(keys[1].Public(), generate(t, tls.X25519).Public()) {
		t.Error("two calls gave the same key")
	}
	var fault *alert.Error
	if _, err := Generate(tls.X25519, 0x0a0a); !errors.As(err, &fault) || fault.Fault != alert.Local {
		t.Errorf("an unknown group: got %v, expected a local fault", err)
	}
	if keys, err := Generate(); err != nil || len(keys) != 0 {
		t.Errorf("no groups: got %d keys, %v", len(keys), err)
	}
}

// Every length but the right one is refused, and so is the other side's.
func TestSharesOfWrongLength(t *testing.T) {
	for _, g := range Groups {
		k := generate(t, g.ID)
		clientShare := k.Public()
		serverShare, _, err := g.Respond(clientShare)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(clientShare) {
			_, _, err := g.Respond(clientShare[:n])
			expectIllegalParameter(t, g.Name+": cut client share", err)
		}
		for n := range len(serverShare) {
			_, err := k.Shared(serverShare[:n])
			expectIllegalParameter(t, g.Name+": cut server share", err)
		}
		_, _, err = g.Respond(append(clientShare, 0))
		expectIllegalParameter(t, g.Name+": long client share", err)
		_, err = k.Shared(append(serverShare, 0))
		expectIllegalParameter(t, g.Name+": long server share", err)
	}
}

// RFC 9846 6 [7], 7.4.2 [3]
func TestInvalidShares(t *testing.T) {
	for _, g := range Groups {
		if g.curve == nil { // every ciphertext decapsulates to something (FIPS 203 7.3)
			continue
		}
		k := generate(t, g.ID)
		clientShare := k.Public()
		serverShare, _, err := g.Respond(clientShare)
		if err != nil {
			t.Fatal(err)
		}
		// Zeros are a point of low order for X25519, and no point elsewhere.
		for _, share := range [][]byte{clientShare, serverShare} {
			at := 0
			if g.PostQuantum && !g.curveFirst {
				at = len(share) - g.publicLen
			}
			clear(share[at : at+g.publicLen])
		}
		_, _, err = g.Respond(clientShare)
		expectIllegalParameter(t, g.Name+": zero client share", err)
		_, err = k.Shared(serverShare)
		expectIllegalParameter(t, g.Name+": zero server share", err)
	}
}

// RFC 9846 4.3.8.2 [1]
func TestPointsOffTheCurve(t *testing.T) {
	for _, id := range []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521} {
		k := generate(t, id)
		public := generate(t, id).Public()
		public[len(public)-1] ^= 1
		_, err := k.Shared(public)
		expectIllegalParameter(t, k.Group().Name+": point off the curve", err)

		compressed := generate(t, id).Public()
		compressed = append([]byte{2}, compressed[1:1+len(compressed)/2]...)
		_, err = k.Shared(compressed)
		expectIllegalParameter(t, k.Group().Name+": compressed point", err)
		_, err = k.Shared([]byte{0})
		expectIllegalParameter(t, k.Group().Name+": point at infinity", err)
	}
}

// FIPS 203 7.2: coefficients of an encapsulation key are below 3329.
func TestEncapsulationKeyOutOfRange(t *testing.T) {
	for _, g := range Groups {
		if !g.PostQuantum {
			continue
		}
		share := generate(t, g.ID).Public()
		at := 0
		if g.curveFirst {
			at = g.publicLen
		}
		share[at], share[at+1] = 0xff, 0xff // a first coefficient of 4095
		_, _, err := g.Respond(share)
		expectIllegalParameter(t, g.Name, err)
	}
}

// A ciphertext that was altered decapsulates to another secret, without an
// error: the handshake fails at Finished (FIPS 203 6.3).
func TestAlteredCiphertext(t *testing.T) {
	k := generate(t, tls.X25519MLKEM768)
	share, secret, err := k.Group().Respond(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	share[0] ^= 1
	got, err := k.Shared(share)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, secret) {
		t.Error("the altered ciphertext gave the same secret")
	}
}

// All randomness is crypto/rand's: a seed gives the same shares and secrets.
//
// RFC 9846 C.1 [1]
func TestDeterministicUnderGlobalRandom(t *testing.T) {
	run := func(seed uint64) []byte {
		cryptotest.SetGlobalRandom(t, seed)
		var ids []tls.CurveID
		for _, g := range Groups {
			ids = append(ids, g.ID)
		}
		keys, err := Generate(ids...)
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, k := range keys {
			share, secret, err := k.Group().Respond(k.Public())
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(append(all, k.Public()...), share...), secret...)
		}
		return all
	}
	first := run(1)
	for range 20 {
		if !bytes.Equal(first, run(1)) {
			t.Fatal("the same seed gave something else")
		}
	}
	if bytes.Equal(first, run(2)) {
		t.Error("another seed gave the same")
	}
}

func FuzzShare(f *testing.F) {
	for i, g := range Groups {
		k := generate(f, g.ID)
		f.Add(uint8(i), k.Public())
		share, _, err := g.Respond(k.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), share)
	}
	own := make([]*PrivateKey, len(Groups))
	for i, g := range Groups {
		own[i] = generate(f, g.ID)
	}
	f.Fuzz(func(t *testing.T, row uint8, share []byte) {
		i := int(row) % len(Groups)
		if _, _, err := Groups[i].Respond(share); err != nil {
			expectIllegalParameter(t, "Respond", err)
		}
		if _, err := own[i].Shared(share); err != nil {
			expectIllegalParameter(t, "Shared", err)
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	for _, g := range Groups {
		b.Run(g.Name, func(b *testing.B) {
			for b.Loop() {
				k := generate(b, g.ID)
				share, _, err := g.Respond(k.Public())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := k.Shared(share); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
