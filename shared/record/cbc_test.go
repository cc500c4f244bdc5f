package record

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"testing"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// eachCBC runs a test for every kind of CBC protection.
func eachCBC(t *testing.T, test func(t *testing.T, s *suite.Suite)) {
	for _, id := range []uint16{
		suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, suite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	} {
		s := suite.ByID(id)
		t.Run(s.Name, func(t *testing.T) { test(t, s) })
	}
}

const testHeader = "sequence" + "\x17\xfe\xfd" // and the length

func additional(length int) []byte {
	return binary.BigEndian.AppendUint16([]byte(testHeader), uint16(length))
}

// reference encrypts as RFC 5246 6.2.3.2 says, with any padding: that many bytes
// of it before its length.
func reference(t testing.TB, s *suite.Suite, content []byte, padding int) []byte {
	t.Helper()
	k := testKey(s)
	mac := hmac.New(s.CBC.MAC.New, k.MAC)
	mac.Write(additional(len(content)))
	mac.Write(content)
	text := mac.Sum(bytes.Clone(content))
	text = append(text, bytes.Repeat([]byte{byte(padding)}, padding+1)...)
	return encrypted(t, s, text)
}

// encrypted is a body of these blocks.
func encrypted(t testing.TB, s *suite.Suite, text []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(testKey(s).Key)
	if err != nil {
		t.Fatal(err)
	}
	iv := bytes.Repeat([]byte{0x1f}, ivLen)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return append(iv, text...)
}

func TestCBCKnownAnswer(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		sealer, _ := pair(t, s)
		content := []byte("plaintext")
		iv := [ivLen]byte(bytes.Repeat([]byte{0x1f}, ivLen))
		sealed := sealer.protection.(*cbc).sealUnder(iv, nil, content, additional(0)) // the length is Seal's to write
		want := reference(t, s, content, sealer.SealedLen(len(content))-ivLen-len(content)-s.CBC.MACLen()-1)
		if !bytes.Equal(sealed, want) {
			t.Errorf("got %x, want %x", sealed, want)
		}
		again := sealer.Seal(nil, content, additional(0), 1)
		if other := sealer.Seal(nil, content, additional(0), 1); bytes.Equal(again[:ivLen], other[:ivLen]) {
			t.Error("two records have one IV")
		}
	})
}

// Every length of padding is good, and a wrong byte anywhere in it is not.
func TestCBCPadding(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		_, opener := pair(t, s)
		for padding := range maxPaddingLen + 1 {
			content := bytes.Repeat([]byte{7}, 300)
			content = content[:len(content)-(len(content)+s.CBC.MACLen()+padding+1)%blockLen]
			opened, err := opener.Open(reference(t, s, content, padding), additional(0), 0)
			if err != nil || !bytes.Equal(opened, content) {
				t.Fatalf("%d bytes of padding: %v", padding, err)
			}
			mac := hmac.New(s.CBC.MAC.New, testKey(s).MAC)
			mac.Write(additional(len(content)))
			mac.Write(content)
			whole := append(mac.Sum(bytes.Clone(content)), bytes.Repeat([]byte{byte(padding)}, padding+1)...)
			for i := range padding {
				text := bytes.Clone(whole)
				text[len(text)-2-i] ^= 0x80
				if opened, err := opener.Open(encrypted(t, s, text), additional(0), 0); err != ErrOpen || opened != nil {
					t.Fatalf("%d bytes of padding, number %d from the end is wrong: %v", padding, i, err)
				}
			}
		}
	})
}

// Padding that says that it is longer than the record, or leaves no room for the
// MAC, is wrong (CVE-2023-43615).
func TestPitfallPaddingTooLong(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		_, opener := pair(t, s)
		for _, size := range []int{blockLen, 2 * blockLen, 3 * blockLen, 4 * blockLen} {
			for last := range 256 {
				text := bytes.Repeat([]byte{byte(last)}, size)
				if opened, err := opener.Open(encrypted(t, s, text), additional(0), 0); err != ErrOpen {
					t.Fatalf("%d bytes of %d: got %x, %v", size, last, opened, err)
				}
			}
		}
	})
}

// TestCBCRoom: what Room promises just fits.
func TestCBCRoom(t *testing.T) {
	each(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		for n := range 200 {
			room := sealer.Room(n)
			if room >= 0 && sealer.SealedLen(room) > n || sealer.SealedLen(max(0, room+1)) <= n {
				t.Errorf("%d bytes have room for %d, which take %d", n, room, sealer.SealedLen(room))
			}
			if got := opener.PlaintextLen(n); got != max(0, room) {
				t.Errorf("%d bytes hold %d at most, the opener says %d", n, room, got)
			}
		}
	})
}

// A countingHash counts the bytes that are hashed.
type countingHash struct {
	resumable
	bytes, calls int
}

func (c *countingHash) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.calls++
	return c.resumable.Write(p)
}

// TestPitfallMACOfSecretLength: whatever the padding, the MAC is right, and the same
// number of blocks is hashed for it, in the same calls (CVE-2013-0169,
// CVE-2018-0497, CVE-2018-0498).
func TestPitfallMACOfSecretLength(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		hash := &countingHash{resumable: s.CBC.MAC.New().(resumable)}
		key := testKey(s).MAC
		m, err := keyedMAC(hash, key)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1<<11)
		for i := range text {
			text[i] = byte(i * 7)
		}
		got := make([]byte, m.size)
		step := 1
		if testing.Short() {
			step = 13
		}
		for size := m.size + 1; size < 700; size += step {
			var hashed, calls int
			for padding := range min(maxPaddingLen+1, size-m.size) {
				n := size - m.size - padding - 1
				hash.bytes, hash.calls = 0, 0
				m.sumSecret(got, additional(0), text[:size], n)
				if padding == 0 {
					hashed, calls = hash.bytes, hash.calls
				}
				if hash.bytes != hashed || hash.calls != calls || (hash.bytes-m.size)%hashBlockLen != 0 {
					t.Fatalf("%d bytes with %d of padding: %d bytes are hashed in %d calls, %d in %d without padding", size, padding, hash.bytes, hash.calls, hashed, calls)
				}
				if padding%16 != size%16 {
					continue // the rest is checked elsewhere in the same way
				}
				want := hmac.New(s.CBC.MAC.New, key)
				want.Write(additional(n))
				want.Write(text[:n])
				if !hmac.Equal(got, want.Sum(nil)) {
					t.Fatalf("%d bytes with %d of padding: the MAC is wrong", size, padding)
				}
			}
		}
	})
}

// Additional data may be longer than a block, as with connection IDs.
func TestMACOfLongAdditionalData(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		sealer, opener := pair(t, s)
		for n := lengthLen; n < 300; n++ {
			header := make([]byte, n)
			for _, size := range []int{0, 1, 50, 400} {
				body := sealer.Seal(nil, make([]byte, size), header, 0)
				if opened, err := opener.Open(body, make([]byte, n), 0); err != nil || len(opened) != size {
					t.Fatalf("%d bytes of additional data, %d of content: %v", n, size, err)
				}
			}
		}
	})
}

func TestCopySecret(t *testing.T) {
	for _, size := range []int{20, 32} {
		text := make([]byte, 400)
		for i := range text {
			text[i] = byte(i) ^ byte(i>>8)*31
		}
		for n := len(text) - size - maxPaddingLen - 1; n <= len(text)-size; n++ {
			got := make([]byte, size)
			if copySecret(got, text, n); !bytes.Equal(got, text[n:n+size]) {
				t.Fatalf("%d bytes at %d: got %x, want %x", size, n, got, text[n:n+size])
			}
		}
	}
}

// openPlainly is open as one would write it if there were no clocks.
func openPlainly(t testing.TB, s *suite.Suite, body []byte) ([]byte, bool) {
	k := testKey(s)
	block, err := aes.NewCipher(k.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) < 2*blockLen || len(body)%blockLen != 0 {
		return nil, false
	}
	text := make([]byte, len(body)-ivLen)
	cipher.NewCBCDecrypter(block, body[:ivLen]).CryptBlocks(text, body[ivLen:])
	padding := int(text[len(text)-1])
	n := len(text) - 1 - padding - s.CBC.MACLen()
	if n < 0 || bytes.Count(text[len(text)-1-padding:], []byte{byte(padding)}) != padding+1 {
		return nil, false
	}
	mac := hmac.New(s.CBC.MAC.New, k.MAC)
	mac.Write(additional(n))
	mac.Write(text[:n])
	return text[:n], subtle.ConstantTimeCompare(mac.Sum(nil), text[n:n+s.CBC.MACLen()]) == 1
}

// Open finds what a plain implementation finds, whatever was encrypted.
func FuzzCBC(f *testing.F) {
	f.Add(uint8(0), []byte("content"), uint8(8), uint16(0), uint8(0))
	f.Add(uint8(1), bytes.Repeat([]byte{1}, 300), uint8(255), uint16(3), uint8(1))
	f.Add(uint8(2), []byte{}, uint8(15), uint16(40), uint8(0x80))
	f.Fuzz(func(t *testing.T, row uint8, content []byte, padding uint8, place uint16, damage uint8) {
		s := suite.ByID([]uint16{
			suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, suite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		}[row%3])
		_, opener := pair(t, s)
		mac := hmac.New(s.CBC.MAC.New, testKey(s).MAC)
		mac.Write(additional(len(content)))
		mac.Write(content)
		text := mac.Sum(bytes.Clone(content))
		text = append(text, bytes.Repeat([]byte{padding}, int(padding)+1)...)
		text = text[len(text)%blockLen:]
		text[int(place)%len(text)] ^= damage
		body := encrypted(t, s, text)

		want, ok := openPlainly(t, s, body)
		got, err := opener.Open(body, additional(0), 0)
		if ok != (err == nil) || ok && !bytes.Equal(got, want) {
			t.Errorf("got %x, %v, expected %x, %v", got, err, want, ok)
		}
	})
}

// A hash that can't be stopped and resumed, or has other blocks, is refused.
func TestMACIsRefused(t *testing.T) {
	cbc := *suite.ByID(suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA).CBC
	cbc.MAC = crypto.SHA384
	s := &suite.Suite{Name: "other", CBC: &cbc}
	if _, err := NewSealer(s, testKey(s)); err == nil {
		t.Error("a MAC of SHA-384, whose blocks have 128 bytes")
	}
}
