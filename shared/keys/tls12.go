package keys

import (
	"crypto"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"github.com/godwit-dtls/godwit/shared/suite"
)

const (
	masterLen     = 48 // RFC 5246 8.1
	verifyDataLen = 12 // RFC 5246 7.4.9
)

// PRF is the pseudorandom function of 1.2, P_hash over label and seed, cut to n
// bytes (RFC 5246 5).
func PRF(h crypto.Hash, secret []byte, label string, seed []byte, n int) []byte {
	return newPRF(h, secret).expand(label, seed, n)
}

// A prf is PRF under one secret, whose HMAC is keyed once for all labels.
type prf struct {
	mac      hash.Hash
	labelled []byte // label and seed
	a        []byte // A(i); A(0) is label and seed
	room     [160]byte
}

func newPRF(h crypto.Hash, secret []byte) *prf {
	p := &prf{mac: hmac.New(newHash(h), secret)}
	p.a, p.labelled = p.room[:0:h.Size()], p.room[h.Size():h.Size()]
	return p
}

func (p *prf) expand(label string, seed []byte, n int) []byte {
	p.labelled = append(append(p.labelled[:0], label...), seed...)
	p.a = p.sum(p.a[:0], p.labelled)
	out := make([]byte, 0, n+p.mac.Size()-1)
	for len(out) < n {
		out = p.sum(out, p.a, p.labelled)
		p.a = p.sum(p.a[:0], p.a)
	}
	return out[:n:n]
}

// sum appends the HMAC of parts to dst, of which they may be a part.
func (p *prf) sum(dst []byte, parts ...[]byte) []byte {
	p.mac.Reset()
	for _, part := range parts {
		p.mac.Write(part)
	}
	return p.mac.Sum(dst)
}

// A Master12 is the master secret of 1.2, with the hash of its suite's PRF.
type Master12 struct {
	Hash   crypto.Hash
	Secret [masterLen]byte
}

// Master derives the master secret as RFC 5246 8.1 does.
func Master(h crypto.Hash, premaster, clientRandom, serverRandom []byte) Master12 {
	return newMaster(h, premaster, "master secret", slices.Concat(clientRandom, serverRandom))
}

// ExtendedMaster derives the master secret as RFC 7627 4 does. sessionHash is
// the hash of the messages up to and including ClientKeyExchange.
func ExtendedMaster(h crypto.Hash, premaster, sessionHash []byte) Master12 {
	return newMaster(h, premaster, "extended master secret", sessionHash)
}

func newMaster(h crypto.Hash, premaster []byte, label string, seed []byte) Master12 {
	m := Master12{Hash: h}
	copy(m.Secret[:], PRF(h, premaster, label, seed, masterLen))
	return m
}

// Bytes are the 48 bytes of the secret, for the key log and for sessions.
func (m Master12) Bytes() []byte { return m.Secret[:] }

// Handshake is what the handshake derives from m.
func (m Master12) Handshake() Handshake12 { return Handshake12{newPRF(m.Hash, m.Secret[:])} }

// A Handshake12 derives what a handshake of 1.2 needs of its master secret, for one
// goroutine at a time.
type Handshake12 struct{ *prf }

// KeyBlock derives the keys of both directions (RFC 5246 6.3). An AEAD suite
// has no MAC keys, a CBC suite no IVs.
func (h Handshake12) KeyBlock(clientRandom, serverRandom []byte, s *suite.Suite) (client, server RecordKey) {
	macLen, keyLen, ivLen := s.Lengths()
	// The server's random comes first here, unlike anywhere else.
	seed := slices.Concat(serverRandom, clientRandom)
	block := h.expand("key expansion", seed, 2*(macLen+keyLen+ivLen))
	client.MAC, block = cut(block, macLen)
	server.MAC, block = cut(block, macLen)
	client.Key, block = cut(block, keyLen)
	server.Key, block = cut(block, keyLen)
	client.IV, block = cut(block, ivLen)
	server.IV, _ = cut(block, ivLen)
	return client, server
}

// ClientFinished is the verify_data of the client's Finished, 12 bytes
// (RFC 5246 7.4.9).
func (h Handshake12) ClientFinished(transcriptHash []byte) []byte {
	return h.expand("client finished", transcriptHash, verifyDataLen)
}

// ServerFinished is the verify_data of the server's Finished, 12 bytes
// (RFC 5246 7.4.9).
func (h Handshake12) ServerFinished(transcriptHash []byte) []byte {
	return h.expand("server finished", transcriptHash, verifyDataLen)
}

// reserved are the labels of the protocol's own derivations: exporting them
// would give its keys away (RFC 5705 4, RFC 7627 4).
var reserved = []string{
	"client finished", "server finished", "master secret", "key expansion", "extended master secret",
}

// Export is the keying material exporter of RFC 5705 4. A context that is nil
// is absent, which differs from an empty one. It fails for a label of the
// protocol's own, a context of 2^16 bytes or more, and n out of range.
func (m Master12) Export(label string, context []byte, clientRandom, serverRandom []byte, n int) ([]byte, error) {
	if slices.Contains(reserved, label) {
		return nil, fmt.Errorf("keys: exporter label %q is reserved by the protocol", label)
	}
	if err := checkExport(context, n); err != nil {
		return nil, err
	}
	seed := slices.Concat(clientRandom, serverRandom)
	if context != nil {
		seed = binary.BigEndian.AppendUint16(seed, uint16(len(context)))
		seed = append(seed, context...)
	}
	return PRF(m.Hash, m.Secret[:], label, seed, n), nil
}
