package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testKey has other bytes in each part, and is the same in every run.
func testKey(s *suite.Suite) keys.RecordKey {
	fill := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	mac, key, iv := s.Lengths()
	return keys.RecordKey{MAC: fill(mac, 0xd4), Key: fill(key, 0xa1), IV: fill(iv, 0xb2), Number: fill(key, 0xc3)}
}

func pair(t testing.TB, s *suite.Suite) (*Sealer, *Opener) {
	t.Helper()
	sealer, err := NewSealer(s, testKey(s))
	if err != nil {
		t.Fatal(err)
	}
	opener, err := NewOpener(s, testKey(s))
	if err != nil {
		t.Fatal(err)
	}
	return sealer, opener
}

// unsealed is a body with room for prefix and tag, holding plaintext.
func unsealed(s *Sealer, plaintext []byte) []byte {
	body := make([]byte, s.Prefix(), s.SealedLen(len(plaintext)))
	return append(body, plaintext...)
}

// each runs a test for every suite.
func each(t *testing.T, test func(t *testing.T, s *suite.Suite)) {
	for _, s := range suite.Table {
		t.Run(s.Name, func(t *testing.T) { test(t, s) })
	}
}

// What has rested protects as if it hadn't.
func TestRest(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		for number := range uint64(4) {
			additional := []byte("header")
			sealed := sealer.Seal(nil, []byte("hello"), additional, number)
			if number%2 == 0 {
				sealer.Rest()
				opener.Rest()
			}
			if sealer.Resting() != (number%2 == 0) || opener.Resting() != sealer.Resting() {
				t.Fatal("it doesn't do as it says")
			}
			opened, err := opener.Open(sealed, additional, number)
			if err != nil || string(opened) != "hello" {
				t.Fatalf("record %d: %q, %v", number, opened, err)
			}
		}
		if records, _ := sealer.Sealed(); records != 4 {
			t.Errorf("%d records are counted", records)
		}
	})
}

func TestMaskRests(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		if s.AEAD == nil || s.AEAD.NewMask == nil {
			t.Skip("it has none")
		}
		m, err := NewMask(s, testKey(s).Number)
		if err != nil {
			t.Fatal(err)
		}
		number, sample := []byte{1, 2}, make([]byte, suite.SampleLen)
		m.Apply(number, sample)
		m.Rest()
		if !m.Resting() || !m.Apply(number, sample) || m.Resting() || !bytes.Equal(number, []byte{1, 2}) {
			t.Errorf("the number is %x, uncovered after a rest", number)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		additional := []byte("header")
		for i, size := range []int{0, 1, 15, 16, 17, 64, 1200, 1 << 14, 1<<14 + 1} {
			plaintext := bytes.Repeat([]byte{byte(i + 1)}, size)
			number := uint64(1)<<48 | uint64(i)
			body := unsealed(sealer, plaintext)
			sealed := sealer.Seal(body[:0], body[sealer.Prefix():], additional, number)
			if apart := sealer.Seal([]byte("before"), plaintext, additional, number); s.CBC == nil && string(apart) != "before"+string(sealed) {
				t.Fatalf("%d bytes: sealed apart they are %x, in place %x", size, apart, sealed)
			}
			if len(sealed) != sealer.SealedLen(size) {
				t.Fatalf("%d bytes became %d, expected %d", size, len(sealed), sealer.SealedLen(size))
			}
			if &sealed[0] != &body[:1][0] {
				t.Error("sealed somewhere else")
			}
			if size > 15 && bytes.Contains(sealed, plaintext) {
				t.Error("the plaintext is still there")
			}
			opened, err := opener.Open(sealed, additional, number)
			if err != nil || !bytes.Equal(opened, plaintext) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if size > 0 && &opened[0] != &sealed[sealer.Prefix()] {
				t.Error("opened somewhere else")
			}
		}
		if opener.Failed() != 0 {
			t.Errorf("%d records failed", opener.Failed())
		}
	})
}

func TestSealWithoutCapacity(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		body := bytes.Clone(unsealed(sealer, []byte("plaintext")))
		sealed := sealer.Seal(body[:0:len(body)], body[sealer.Prefix():], []byte("header"), 5)
		if opened, err := opener.Open(sealed, []byte("header"), 5); err != nil || string(opened) != "plaintext" {
			t.Errorf("got %q, %v", opened, err)
		}
	})
}

func TestEveryBitMatters(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		additional := []byte("header")
		sealed := sealer.Seal(nil, []byte("some plaintext of 27 bytes."), additional, 7)
		failed := uint64(0)
		refused := func(what string, body, additional []byte, number uint64) {
			t.Helper()
			failed++
			opened, err := opener.Open(body, additional, number)
			if opened != nil || err != ErrOpen || opener.Failed() != failed {
				t.Fatalf("%s: got %x, %v, %d failures of %d", what, opened, err, opener.Failed(), failed)
			}
		}
		for bit := range 8 * len(sealed) {
			body := bytes.Clone(sealed)
			body[bit/8] ^= 1 << (bit % 8)
			refused(fmt.Sprintf("bit %d of the body", bit), body, additional, 7)
		}
		bits := 8 * len(additional)
		if s.CBC != nil {
			bits -= 8 * lengthLen // Open writes the length itself
		}
		for bit := range bits {
			altered := bytes.Clone(additional)
			altered[bit/8] ^= 1 << (bit % 8)
			refused(fmt.Sprintf("bit %d of the additional data", bit), bytes.Clone(sealed), altered, 7)
		}
		for n := range sealed {
			refused(fmt.Sprintf("the first %d bytes", n), bytes.Clone(sealed[:n]), additional, 7)
			refused(fmt.Sprintf("without the first %d bytes", n+1), bytes.Clone(sealed[n+1:]), additional, 7)
		}
		refused("nothing", nil, nil, 0)
		if sealer.Prefix() == 0 {
			for bit := range 64 {
				refused(fmt.Sprintf("bit %d of the number", bit), bytes.Clone(sealed), additional, 7^1<<bit)
			}
		}
		if _, err := opener.Open(sealed, additional, 7); err != nil {
			t.Errorf("unaltered: %v", err)
		}
	})
}

// Every number gives another ciphertext, and 1.2's GCM takes the nonce from the
// wire: a peer may count as it likes (RFC 5288 3).
func TestExplicitNonce(t *testing.T) {
	s := suite.ByID(suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	sealer, opener := pair(t, s)
	const number = 3<<48 | 0x0000_1234_5678_9abc // epoch 3
	sealed := sealer.Seal(nil, []byte("plaintext"), []byte("header"), number)
	if want := unhex(t, "0003123456789abc"); !bytes.Equal(sealed[:8], want) {
		t.Errorf("explicit nonce %x, expected epoch and sequence number %x", sealed[:8], want)
	}

	block, err := aes.NewCipher(bytes.Repeat([]byte{0xa1}, 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := unhex(t, "b2b2b2b20003123456789abc")
	if want := gcm.Seal(nil, nonce, []byte("plaintext"), []byte("header")); !bytes.Equal(sealed[8:], want) {
		t.Errorf("got %x, want %x", sealed[8:], want)
	}

	copy(nonce[4:], "anything")
	body := append([]byte("anything"), gcm.Seal(nil, nonce, []byte("other"), nil)...)
	if opened, err := opener.Open(body, nil, number); err != nil || string(opened) != "other" {
		t.Errorf("a peer's own nonce: %q, %v", opened, err)
	}
}

// RFC 7905 2: the IV with the number, of which the epoch is a part, XORed in.
func TestXORNonceOf12(t *testing.T) {
	s := suite.ByID(suite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)
	sealer, _ := pair(t, s)
	sealed := sealer.Seal(nil, []byte("plaintext"), []byte("header"), 1<<48|0x0102)
	aead, err := s.AEAD.New(testKey(s).Key)
	if err != nil {
		t.Fatal(err)
	}
	nonce := unhex(t, "b2b2b2b2b2b3b2b2b2b2b3b0")
	if want := aead.Seal(nil, nonce, []byte("plaintext"), []byte("header")); !bytes.Equal(sealed, want) {
		t.Errorf("got %x, want %x", sealed, want)
	}
}

// RFC 8448 3: the records of a TLS 1.3 connection, headers and inner content
// types included.
//
// RFC 9846 5.3 [1]
func TestRFC8448(t *testing.T) {
	data := make([]byte, 0, 51)
	for i := range byte(50) {
		data = append(data, i)
	}
	data = append(data, 23)
	closeNotify := []byte{1, 0, 21}
	const (
		clientKey, clientIV = "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"
		serverKey, serverIV = "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"
	)
	for _, c := range []struct {
		name, key, iv string
		number        uint64
		plaintext     []byte
		record        string
	}{
		{
			"client data", clientKey, clientIV, 0, data,
			"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
		}, {
			"client alert", clientKey, clientIV, 1, closeNotify,
			"1703030013c9872760655666b74d7ff1153efd6db6d0b0e3",
		}, {
			"server data", serverKey, serverIV, 1, data,
			"17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
		}, {
			"server alert", serverKey, serverIV, 2, closeNotify,
			"1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9",
		},
	} {
		s := suite.ByID(suite.TLS_AES_128_GCM_SHA256)
		key := keys.RecordKey{Key: unhex(t, c.key), IV: unhex(t, c.iv)}
		sealer, err := NewSealer(s, key)
		if err != nil {
			t.Fatal(err)
		}
		opener, err := NewOpener(s, key)
		if err != nil {
			t.Fatal(err)
		}
		record := unhex(t, c.record)
		header, body := record[:5], record[5:]
		if got := sealer.Seal(nil, c.plaintext, header, c.number); !bytes.Equal(got, body) {
			t.Errorf("%s: sealed %x, want %x", c.name, got, body)
		}
		if got, err := opener.Open(body, header, c.number); err != nil || !bytes.Equal(got, c.plaintext) {
			t.Errorf("%s: opened %x, %v", c.name, got, err)
		}
	}
}

func TestKeysOfWrongLength(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		good := testKey(s)
		for _, k := range []keys.RecordKey{
			{Key: good.Key[1:], IV: good.IV},
			{Key: append(bytes.Clone(good.Key), 0), IV: good.IV},
			{Key: good.Key, IV: append([]byte{0}, good.IV...)},
			{Key: good.Key, IV: append(bytes.Clone(good.IV), 0)},
			{},
		} {
			k.MAC = good.MAC
			if _, err := NewSealer(s, k); err == nil {
				t.Errorf("NewSealer accepts a key of %d and an IV of %d bytes", len(k.Key), len(k.IV))
			}
			if _, err := NewOpener(s, k); err == nil {
				t.Errorf("NewOpener accepts a key of %d and an IV of %d bytes", len(k.Key), len(k.IV))
			}
		}
		if _, err := NewSealer(s, keys.RecordKey{MAC: append(bytes.Clone(good.MAC), 0), Key: good.Key, IV: good.IV}); err == nil {
			t.Error("NewSealer accepts a MAC key that is too long")
		}
		if _, err := NewMask(s, good.Number[1:]); err == nil {
			t.Error("NewMask accepts a short key")
		}
	})
	noAEAD := &suite.Suite{Name: "no AEAD"}
	if _, err := NewSealer(noAEAD, keys.RecordKey{}); err == nil {
		t.Error("a Sealer without an AEAD")
	}
	if _, err := NewMask(noAEAD, nil); err == nil {
		t.Error("a Mask without an AEAD")
	}
	gcm12 := suite.ByID(suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	if _, err := NewMask(gcm12, make([]byte, 16)); err == nil {
		t.Error("a Mask for GCM of 1.2")
	}
	longNonce := *gcm12.AEAD
	longNonce.New = func(key []byte) (cipher.AEAD, error) {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCMWithNonceSize(block, 16)
	}
	if _, err := NewOpener(&suite.Suite{AEAD: &longNonce}, testKey(gcm12)); err == nil {
		t.Error("an Opener with a nonce of 16 bytes")
	}
}

// A suite with tiny limits reaches them exactly where it should.
//
// RFC 9147 4.5.3 [3]
func TestLimits(t *testing.T) {
	tiny := func(records, blocks, integrity uint64) *suite.Suite {
		aead := *suite.ByID(suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256).AEAD
		aead.ConfidentialityRecords, aead.ConfidentialityBlocks, aead.Integrity = records, blocks, integrity
		return &suite.Suite{Name: "tiny", AEAD: &aead}
	}

	sealer, opener := pair(t, tiny(3, suite.Unlimited, 4))
	for want := range uint64(3) {
		if records, _ := sealer.Sealed(); records != want || sealer.LimitReached() {
			t.Errorf("after %d records: counted %d, limit reached: %v", want, records, sealer.LimitReached())
		}
		sealer.Seal(nil, []byte("p"), nil, want)
	}
	if !sealer.LimitReached() {
		t.Error("three records of three are sealed, and no limit is reached")
	}

	if opener.NearLimit() {
		t.Error("near the limit before anything failed")
	}
	for range 4 {
		if opener.LimitReached() {
			t.Errorf("the limit is reached after %d failures of 4", opener.Failed())
		}
		if _, err := opener.Open(make([]byte, 64), nil, 0); !errors.Is(err, ErrOpen) {
			t.Error("zeros were opened")
		}
		if near := opener.NearLimit(); near != (opener.Failed() >= 3) {
			t.Errorf("near the limit after %d failures of 4: %v", opener.Failed(), near)
		}
	}
	if opener.Failed() != 4 || !opener.LimitReached() {
		t.Errorf("%d failures of 4, and no limit is reached", opener.Failed())
	}

	sealer, _ = pair(t, tiny(suite.Unlimited, 8, 2))
	want := uint64(0)
	for number, size := range []int{0, 1, 16, 17} {
		if sealer.LimitReached() {
			t.Errorf("the limit is reached after %d blocks of 8", want)
		}
		sealer.Seal(nil, make([]byte, size), nil, uint64(number))
		want += []uint64{1, 2, 2, 3}[number] // those of the plaintext, and the tag's
		if _, blocks := sealer.Sealed(); blocks != want {
			t.Errorf("counted %d blocks, expected %d", blocks, want)
		}
	}
	if !sealer.LimitReached() {
		t.Error("eight blocks of eight are sealed, and no limit is reached")
	}
}

// RFC 9001 A.5 and A.2: QUIC's header protection is the same construction.
func TestMaskKnownAnswer(t *testing.T) {
	for _, c := range []struct {
		suite             uint16
		key, sample, mask string
	}{
		{suite.TLS_CHACHA20_POLY1305_SHA256, "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4", "5e5cd55c41f69080575d7999c25a5bfb", "aefe"},
		{suite.TLS_AES_128_GCM_SHA256, "9f50449e04a0e810283a1e9933adedd2", "d1b1c98dd7689fb8ec11d242b123dc9b", "437b"},
	} {
		mask, err := NewMask(suite.ByID(c.suite), unhex(t, c.key))
		if err != nil {
			t.Fatal(err)
		}
		sample, want := unhex(t, c.sample), unhex(t, c.mask)
		ciphertext := append(bytes.Clone(sample), "what follows doesn't matter"...)
		for n := 1; n <= 2; n++ {
			number := make([]byte, n)
			if !mask.Apply(number, ciphertext) || !bytes.Equal(number, want[:n]) {
				t.Errorf("%d bytes: got %x, want %x", n, number, want[:n])
			}
		}
		if !bytes.HasPrefix(ciphertext, sample) {
			t.Error("the ciphertext was changed")
		}
	}
}

// RFC 9147 4.2.3 [1]
func TestMaskIsSymmetric(t *testing.T) {
	for _, s := range suite.Table {
		if !s.Version.Is13() {
			continue
		}
		sender, err := NewMask(s, testKey(s).Number)
		if err != nil {
			t.Fatal(err)
		}
		receiver, err := NewMask(s, testKey(s).Number)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint16(1000) {
			ciphertext := binary.BigEndian.AppendUint16(make([]byte, 14), i)
			number := binary.BigEndian.AppendUint16(nil, i)
			if !sender.Apply(number, ciphertext) || !receiver.Apply(number, ciphertext) {
				t.Fatal("16 bytes of ciphertext are enough")
			}
			if got := binary.BigEndian.Uint16(number); got != i {
				t.Fatalf("%s: %d became %d", s.Name, i, got)
			}
		}
		number := []byte{1, 2}
		for n := range suite.SampleLen {
			if sender.Apply(number, make([]byte, n)) || !bytes.Equal(number, []byte{1, 2}) {
				t.Errorf("%s: masked by %d bytes of ciphertext", s.Name, n)
			}
		}
	}
}

// raceDetector is whether it runs: with it the standard library's SHA allocates
// when it gives its state away.
var raceDetector bool

// CCM alone allocates, once in a longer record: see ccm.New.
func TestNoAllocations(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		if s.CBC != nil && raceDetector {
			return
		}
		sealer, opener := pair(t, s)
		header := make([]byte, 13)
		for _, size := range []int{0, 64, 1200} {
			most := 0
			if size > 384 && strings.Contains(s.Name, "CCM") {
				most = 1
			}
			buf := make([]byte, sealer.SealedLen(size))
			var sealed []byte
			expectAllocations(t, "Seal", most, func() { sealed = sealer.Seal(buf[:0], buf[sealer.Prefix():][:size], header, 1) })
			// Opening overwrites the body, so that it opens only once.
			once := bytes.Clone(sealed)
			expectAllocations(t, "Open", most, func() {
				copy(buf, once)
				if _, err := opener.Open(buf, header, 1); err != nil {
					t.Fatal(err)
				}
			})
			expectAllocations(t, "Open of a forgery", most, func() {
				if _, err := opener.Open(buf, header[1:], 1); err == nil {
					t.Fatal("opened")
				}
			})
		}
		expectAllocations(t, "Open of a short record", 0, func() { opener.Open(header[:3], nil, 1) })
		if s.Version.Is13() {
			mask, err := NewMask(s, testKey(s).Number)
			if err != nil {
				t.Fatal(err)
			}
			ciphertext := make([]byte, suite.SampleLen)
			expectAllocations(t, "Apply", 0, func() { mask.Apply(header[:2], ciphertext) })
		}
	})
}

func expectAllocations(t *testing.T, what string, most int, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n > float64(most) {
		t.Errorf("%s allocates %v times", what, n)
	}
}

// Whatever comes, Open neither panics nor opens what was not sealed; what was
// sealed, it opens.
func FuzzOpen(f *testing.F) {
	for i, s := range suite.Table {
		sealer, _ := pair(f, s)
		f.Add(uint8(i), uint64(9), []byte("header"), sealer.Seal(nil, []byte("plaintext"), []byte("header"), 9))
		f.Add(uint8(i), uint64(1)<<63, []byte{}, make([]byte, sealer.SealedLen(0)))
	}
	f.Fuzz(func(t *testing.T, row uint8, number uint64, additional, body []byte) {
		s := suite.Table[int(row)%len(suite.Table)]
		if s.CBC != nil {
			additional = append(bytes.Clone(additional), "length"...) // what is fuzzed is not ours to write behind
		}
		sealer, opener := pair(t, s)

		if opened, err := opener.Open(bytes.Clone(body), additional, number); err == nil {
			if s.CBC != nil {
				t.Fatalf("opened %x, for which nobody but us has the key", body)
			}
			if sealer.Prefix() > 0 {
				number = binary.BigEndian.Uint64(body) // the wire's counts, not ours
			}
			if again := sealer.Seal(nil, opened, additional, number); !bytes.Equal(again, body) {
				t.Errorf("opened %x, which was not sealed", body)
			}
		} else if err != ErrOpen || opened != nil || opener.Failed() != 1 {
			t.Errorf("got %x, %v, %d failures", opened, err, opener.Failed())
		}

		sealed := sealer.Seal(nil, body, additional, number)
		if opened, err := opener.Open(sealed, additional, number); err != nil || !bytes.Equal(opened, body) {
			t.Errorf("%d bytes don't survive sealing: %v", len(body), err)
		}
	})
}
