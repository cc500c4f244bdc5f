package keys

import (
	"crypto"
	"encoding/binary"
	"fmt"
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
	var room [128]byte // more than the protocol's own labels and seeds need
	labelled := append(append(room[:0], label...), seed...)
	out := make([]byte, 0, n+h.Size()-1)
	a := appendHMAC(nil, h, secret, labelled) // A(1)
	for {
		out = appendHMAC(out, h, secret, a, labelled)
		if len(out) >= n {
			return out[:n:n]
		}
		a = appendHMAC(a[:0], h, secret, a)
	}
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

// KeyBlock derives the keys of both directions (RFC 5246 6.3). An AEAD suite
// has no MAC keys, a CBC suite no IVs.
func (m Master12) KeyBlock(clientRandom, serverRandom []byte, s *suite.Suite) (client, server RecordKey) {
	macLen, keyLen, ivLen := s.Lengths()
	// The server's random comes first here, unlike anywhere else.
	seed := slices.Concat(serverRandom, clientRandom)
	block := PRF(m.Hash, m.Secret[:], "key expansion", seed, 2*(macLen+keyLen+ivLen))
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
func (m Master12) ClientFinished(transcriptHash []byte) []byte {
	return PRF(m.Hash, m.Secret[:], "client finished", transcriptHash, verifyDataLen)
}

// ServerFinished is the verify_data of the server's Finished, 12 bytes
// (RFC 5246 7.4.9).
func (m Master12) ServerFinished(transcriptHash []byte) []byte {
	return PRF(m.Hash, m.Secret[:], "server finished", transcriptHash, verifyDataLen)
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
