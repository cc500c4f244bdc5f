package dtls

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
	"net/netip"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A cookie is all that a Listener keeps of a client until it has shown that it
// receives what is sent to its address (RFC 6347 4.2.1, RFC 9147 5.1): the
// client keeps it for us.
//
//	1.2:  u32 seconds | MAC
//	1.3:  u32 seconds | u16 cipher suite | u16 group | u8 the group was asked for
//	      | hash of the first ClientHello message, as long as the suite's hash is
//	      | MAC
//
// The MAC is HMAC-SHA256, cut to 16 bytes (GnuTLS takes no cookie of more than
// 32, the limit of DTLS 1.0), over version, address, the fields before it
// and what both ClientHellos must have the same.
const (
	cookieTimeSize   = 4
	cookieChoiceSize = cookieTimeSize + 2 + 2 + 1
	cookieMACSize    = 16
	maxCookieSize    = cookieChoiceSize + sha512.Size384 + cookieMACSize
)

// A cookie is good for cookieLifetime, and a key makes cookies for keyLifetime
// and verifies them for as long again.
const (
	cookieLifetime = time.Minute
	keyLifetime    = 10 * time.Minute
)

// A cookieJar makes and checks cookies. Its methods don't allocate.
//
// RFC 6347 4.2.1 [10]
type cookieJar struct {
	mu    sync.Mutex
	keys  []hash.Hash // HMACs; the first makes cookies
	given bool        // by Config or SetCookieKeys: not rotated
	made  time.Time   // when the first key was

	sha256, sha384 hash.Hash
	scratch        [4]byte
	sealed         []byte // what the last MAC is over
	mac            [sha256.Size]byte
}

func newCookieJar(keys [][32]byte, now time.Time) *cookieJar {
	j := &cookieJar{sha256: sha256.New(), sha384: sha512.New384()}
	j.set(keys, now)
	return j
}

// set replaces the keys; without any, it makes one that rotates.
func (j *cookieJar) set(keys [][32]byte, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys, j.given = nil, len(keys) > 0
	for i := range keys {
		j.keys = append(j.keys, hmac.New(sha256.New, keys[i][:]))
	}
	if !j.given {
		j.keys = []hash.Hash{freshKey()}
		j.made = now
	}
}

// rotate replaces keys of our own that are old; the one before stays good.
//
// RFC 9147 5.1 [4]
func (j *cookieJar) rotate(now time.Time) {
	if !j.given && now.Sub(j.made) > keyLifetime {
		j.keys = []hash.Hash{freshKey(), j.keys[0]}
		j.made = now
	}
}

func freshKey() hash.Hash {
	var key [32]byte
	rand.Read(key[:])
	return hmac.New(sha256.New, key[:])
}

// append12 appends a cookie for HelloVerifyRequest.
func (j *cookieJar) append12(b []byte, from netip.AddrPort, in *message.ClientHello, now time.Time) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rotate(now)
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(now.Unix()))
	return append(b, j.seal(j.keys[0], protocol.VersionDTLS12, b[start:], from, in)...)
}

// verify12 reports whether the hello's cookie is ours for it.
func (j *cookieJar) verify12(from netip.AddrPort, in *message.ClientHello, now time.Time) bool {
	if len(in.Cookie) != cookieTimeSize+cookieMACSize {
		return false
	}
	return j.verify(protocol.VersionDTLS12, in.Cookie, from, in, now)
}

// append13 appends a cookie for HelloRetryRequest that answers the ClientHello
// whose body is given.
//
// RFC 9147 11 [5]
func (j *cookieJar) append13(b []byte, c handshake.Choice, from netip.AddrPort, in *message.ClientHello, body []byte, now time.Time) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rotate(now)
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(now.Unix()))
	b = binary.BigEndian.AppendUint16(b, c.Suite.ID)
	var group tls.CurveID // none: of a PSK alone
	if c.Group != nil {
		group = c.Group.ID
	}
	b = binary.BigEndian.AppendUint16(b, uint16(group))
	if c.NeedShare {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = j.appendHelloHash(b, c.Suite, body)
	return append(b, j.seal(j.keys[0], protocol.VersionDTLS13, b[start:], from, in)...)
}

// verify13 checks a cookie from a HelloRetryRequest and takes the choice and
// the hash of the first ClientHello out of it.
func (j *cookieJar) verify13(cookie []byte, from netip.AddrPort, in *message.ClientHello, now time.Time) (c handshake.Choice, helloHash []byte, ok bool) {
	if len(cookie) < cookieChoiceSize+cookieMACSize || !j.verify(protocol.VersionDTLS13, cookie, from, in, now) {
		return c, nil, false
	}
	fields := cookie[:len(cookie)-cookieMACSize]
	group := tls.CurveID(binary.BigEndian.Uint16(fields[cookieTimeSize+2:]))
	c = handshake.Choice{
		Version:   protocol.VersionDTLS13,
		Suite:     suite.ByID(binary.BigEndian.Uint16(fields[cookieTimeSize:])),
		Group:     suite.GroupByID(group),
		NeedShare: fields[cookieTimeSize+4] == 1,
	}
	helloHash = fields[cookieChoiceSize:]
	// Given keys may come from a process with another version of this library.
	ok = c.Suite != nil && (c.Group != nil || group == 0 && !c.NeedShare) && len(helloHash) == c.Suite.Hash.Size()
	return c, helloHash, ok
}

// verify checks time and MAC, under every key.
func (j *cookieJar) verify(v protocol.Version, cookie []byte, from netip.AddrPort, in *message.ClientHello, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	made := time.Unix(int64(binary.BigEndian.Uint32(cookie)), 0)
	if age := now.Sub(made); age > cookieLifetime || age < -cookieLifetime { // clocks of several processes differ
		return false
	}
	fields, mac := cookie[:len(cookie)-cookieMACSize], cookie[len(cookie)-cookieMACSize:]
	for _, key := range j.keys {
		if hmac.Equal(mac, j.seal(key, v, fields, from, in)) {
			return true
		}
	}
	return false
}

// seal computes a cookie's MAC. Variable parts stand behind their length. All is
// put together first: the hash takes many short writes for longer than one.
//
// RFC 9147 11 [3, 4]; RFC 6347 4.2.1 [6]
func (j *cookieJar) seal(key hash.Hash, v protocol.Version, fields []byte, from netip.AddrPort, in *message.ClientHello) []byte {
	b := binary.BigEndian.AppendUint16(j.sealed[:0], uint16(v))
	address := from.Addr().As16()
	b = append(b, address[:]...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	for _, part := range [...][]byte{fields, in.Random, in.SessionID, in.CipherSuites, in.Compression} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	j.sealed = b
	key.Reset()
	key.Write(b)
	return key.Sum(j.mac[:0])[:cookieMACSize]
}

// appendHelloHash appends the transcript hash of a first ClientHello: 1.3 hashes
// it with the 4-byte header (RFC 9147 5.2).
func (j *cookieJar) appendHelloHash(b []byte, s *suite.Suite, body []byte) []byte {
	h := j.sha256
	if s.Hash == crypto.SHA384 {
		h = j.sha384
	}
	h.Reset()
	h.Write(binary.BigEndian.AppendUint32(j.scratch[:0], uint32(protocol.ClientHello)<<24|uint32(len(body))))
	h.Write(body)
	return h.Sum(b)
}

// helloCookie is the cookie that a ClientHello brings back, of either version.
func helloCookie(in *message.ClientHello) (cookie []byte, v protocol.Version) {
	if len(in.Cookie) > 0 {
		return in.Cookie, protocol.VersionDTLS12
	}
	if body, ok := in.Extensions.Find(protocol.ExtCookie); ok {
		if cookie, err := message.ParseCookie(body); err == nil {
			return cookie, protocol.VersionDTLS13
		}
	}
	return nil, 0
}
