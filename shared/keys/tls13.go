package keys

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A Schedule is the key schedule of 1.3 (RFC 9846 7.1) for the hash of a suite
// and a transport, which decides the prefix of the labels. It begins at Early:
//
//	Early(psk) -> EarlySecret -> HandshakeSecret -> MasterSecret
//	                 |                |                |
//	            BinderKey       TrafficSecret    TrafficSecret
//	           TrafficSecret                    ExporterSecret
//	           ExporterSecret                  ResumptionSecret
//
// RFC 9147 5.9 [1]
type Schedule struct {
	Hash      crypto.Hash
	Transport protocol.Transport
}

// prefixes stand before every label. That of DTLS has no space at its end: all
// labels then fit one block of the hash (RFC 9147 5.9).
var prefixes = [...]string{protocol.Stream: "tls13 ", protocol.Datagram: "dtls13"}

// A secret is one value of the schedule.
type secret struct {
	schedule Schedule
	value    []byte
}

type (
	EarlySecret      struct{ secret } // what a PSK gives, or none
	HandshakeSecret  struct{ secret } // and what the key exchange gives
	MasterSecret     struct{ secret } // "main secret" since RFC 9846
	BinderKey        struct{ secret } // proves that a PSK is known
	TrafficSecret    struct{ secret } // protects one direction in one epoch
	ExporterSecret   struct{ secret } // what applications derive from
	ResumptionSecret struct{ secret } // what tickets derive from
)

// Early begins the schedule with a PSK, or with nil for none. Handshake begins it
// without one.
func (s Schedule) Early(psk []byte) EarlySecret {
	return EarlySecret{s.extract(psk, nil)}
}

// BinderExternal is the binder_key of a PSK from outside the protocol.
func (e EarlySecret) BinderExternal() BinderKey {
	return BinderKey{e.derive("ext binder", e.schedule.empty())}
}

// BinderImported is the binder_key of a PSK from outside that was imported
// (RFC 9258 5.2).
func (e EarlySecret) BinderImported() BinderKey {
	return BinderKey{e.derive("imp binder", e.schedule.empty())}
}

// BinderResumption is the binder_key of a PSK from a ticket.
func (e EarlySecret) BinderResumption() BinderKey {
	return BinderKey{e.derive("res binder", e.schedule.empty())}
}

// ClientTraffic protects 0-RTT data. The transcript is the ClientHello.
func (e EarlySecret) ClientTraffic(transcriptHash []byte) TrafficSecret {
	return TrafficSecret{e.derive("c e traffic", transcriptHash)}
}

// Exporter is the early exporter. The transcript is the ClientHello.
func (e EarlySecret) Exporter(transcriptHash []byte) ExporterSecret {
	return ExporterSecret{e.derive("e exp master", transcriptHash)}
}

// Handshake adds the secret of the key exchange, or nil for PSK alone.
func (e EarlySecret) Handshake(sharedSecret []byte) HandshakeSecret {
	return HandshakeSecret{e.next(sharedSecret)}
}

// ClientTraffic protects the client's handshake messages. The transcript is
// ClientHello to ServerHello.
func (h HandshakeSecret) ClientTraffic(transcriptHash []byte) TrafficSecret {
	return TrafficSecret{h.derive("c hs traffic", transcriptHash)}
}

// ServerTraffic protects the server's handshake messages. The transcript is
// ClientHello to ServerHello.
func (h HandshakeSecret) ServerTraffic(transcriptHash []byte) TrafficSecret {
	return TrafficSecret{h.derive("s hs traffic", transcriptHash)}
}

// Handshake is Early(nil).Handshake(sharedSecret).
func (s Schedule) Handshake(sharedSecret []byte) HandshakeSecret {
	if salt := salts[s]; salt != nil {
		return HandshakeSecret{s.extract(sharedSecret, salt())}
	}
	return s.Early(nil).Handshake(sharedSecret)
}

// salts are what each Schedule of a suite has in the place of a secret before
// Handshake, where there is no PSK: constants.
var salts = map[Schedule]func() []byte{}

func init() {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		for _, t := range []protocol.Transport{protocol.Stream, protocol.Datagram} {
			s := Schedule{h, t}
			salts[s] = sync.OnceValue(func() []byte { return s.Early(nil).salt() })
		}
	}
}

// Master is the last secret of the handshake.
func (h HandshakeSecret) Master() MasterSecret { return MasterSecret{h.next(nil)} }

// ClientTraffic protects the client's data. The transcript is ClientHello to
// the server's Finished.
func (m MasterSecret) ClientTraffic(transcriptHash []byte) TrafficSecret {
	return TrafficSecret{m.derive("c ap traffic", transcriptHash)}
}

// ServerTraffic protects the server's data. The transcript is ClientHello to
// the server's Finished.
func (m MasterSecret) ServerTraffic(transcriptHash []byte) TrafficSecret {
	return TrafficSecret{m.derive("s ap traffic", transcriptHash)}
}

// Exporter is the exporter of the connection. The transcript is ClientHello to
// the server's Finished.
func (m MasterSecret) Exporter(transcriptHash []byte) ExporterSecret {
	return ExporterSecret{m.derive("exp master", transcriptHash)}
}

// Resumption is where PSKs of tickets come from. The transcript is ClientHello
// to the client's Finished.
func (m MasterSecret) Resumption(transcriptHash []byte) ResumptionSecret {
	return ResumptionSecret{m.derive("res master", transcriptHash)}
}

// Finished is a binder (RFC 9846 4.3.11.2), as long as the hash. The transcript
// ends with the ClientHello that is cut before its binders.
func (k BinderKey) Finished(transcriptHash []byte) []byte { return k.verifyData(transcriptHash) }

// Key is what protects records (RFC 9846 7.3) and, over datagrams, their
// numbers (RFC 9147 4.2.3).
func (t TrafficSecret) Key(s *suite.Suite) RecordKey {
	keyLen, saltLen := s.AEAD.KeyLen, s.AEAD.SaltLen
	all := make([]byte, 0, 2*keyLen+saltLen+t.schedule.Hash.Size())
	all = t.expandLabel(all, "key", nil, keyLen)
	all = t.expandLabel(all, "iv", nil, saltLen)
	if t.schedule.Transport == protocol.Datagram {
		all = t.expandLabel(all, "sn", nil, keyLen)
	}
	var k RecordKey
	k.Key, all = cut(all, keyLen)
	k.IV, all = cut(all, saltLen)
	if len(all) > 0 {
		k.Number = all
	}
	return k
}

// Finished is the verify_data of a Finished under this handshake traffic secret
// (RFC 9846 4.5.3), as long as the hash.
func (t TrafficSecret) Finished(transcriptHash []byte) []byte { return t.verifyData(transcriptHash) }

// Next is the secret after a KeyUpdate (RFC 9846 7.2).
func (t TrafficSecret) Next() TrafficSecret {
	return TrafficSecret{t.derive("traffic upd", nil)}
}

// Bytes is the secret itself, for the key log, and for a connection that goes on
// elsewhere.
func (t TrafficSecret) Bytes() []byte { return t.value }

// Export is the exporter of RFC 9846 7.5. A nil context and an empty one are
// the same. It fails for a label or context too long to be encoded, and for n
// beyond 255 times the length of the hash.
func (e ExporterSecret) Export(label string, context []byte, n int) ([]byte, error) {
	if longest := math.MaxUint8 - len(e.schedule.prefix()); len(label) > longest {
		return nil, fmt.Errorf("keys: exporter label of %d bytes, expected at most %d", len(label), longest)
	}
	if err := checkExport(context, n); err != nil {
		return nil, err
	}
	if longest := 255 * e.schedule.Hash.Size(); n > longest { // RFC 5869 2.3
		return nil, fmt.Errorf("keys: exporter length %d, expected at most %d", n, longest)
	}
	exported := e.derive(label, e.schedule.empty())
	return exported.expandLabel(nil, "exporter", e.schedule.sum(context), n), nil
}

// Bytes is the secret itself, for the key log.
func (e ExporterSecret) Bytes() []byte { return e.value }

// Bytes is the secret itself, for a connection that goes on elsewhere.
func (r ResumptionSecret) Bytes() []byte { return r.value }

// PSK is the key of the ticket with this nonce of at most 255 bytes
// (RFC 9846 4.7.1), as long as the hash.
func (r ResumptionSecret) PSK(nonce []byte) []byte {
	return r.derive("resumption", nonce).value
}

// Confirmation is what a server says with eight bytes to an encrypted ClientHello
// with this random, under one of the labels of RFC 9849 7.2.
func (s Schedule) Confirmation(random []byte, label string, transcriptHash []byte) []byte {
	return s.extract(random, nil).expandLabel(nil, label, transcriptHash, 8)
}

// Import derives a PSK of n bytes, for the one protocol and KDF that an
// ImportedIdentity names, from an external key (RFC 9258 5.1). The Schedule's hash
// is the one that belongs to the external key.
func (s Schedule) Import(key, identity []byte, n int) []byte {
	return s.extract(key, nil).expandLabel(nil, "derived psk", s.sum(identity), n)
}

// Traffic, Exporter and Resumption are secrets again that Bytes gave: of a
// connection that goes on here.
func (s Schedule) Traffic(value []byte) TrafficSecret   { return TrafficSecret{secret{s, value}} }
func (s Schedule) Exporter(value []byte) ExporterSecret { return ExporterSecret{secret{s, value}} }
func (s Schedule) Resumption(value []byte) ResumptionSecret {
	return ResumptionSecret{secret{s, value}}
}

// extract is HKDF-Extract. Keying material that is absent is a hash of zeros,
// and an absent salt is the same.
func (s Schedule) extract(material, salt []byte) secret {
	if len(material) == 0 {
		material = make([]byte, s.Hash.Size())
	}
	return secret{s, appendHMAC(nil, s.Hash, salt, material)} // a key of zeros is an empty one
}

// sum is the hash of a whole message.
func (s Schedule) sum(message []byte) []byte {
	return appendSum(nil, s.Hash, message)
}

// empty is the hash of an empty transcript.
func (s Schedule) empty() []byte {
	switch s.Hash {
	case crypto.SHA256:
		return emptySHA256[:]
	case crypto.SHA384:
		return emptySHA384[:]
	}
	return s.sum(nil)
}

var emptySHA256, emptySHA384 = sha256.Sum256(nil), sha512.Sum384(nil)

func (s Schedule) prefix() string { return prefixes[s.Transport] }

// verifyData is the HMAC of a transcript under this secret's finished_key
// (RFC 9846 4.5.3).
func (s secret) verifyData(transcriptHash []byte) []byte {
	return appendHMAC(nil, s.schedule.Hash, s.derive("finished", nil).value, transcriptHash)
}

// next is one step down the schedule: Derive-Secret(., "derived", ""), then
// HKDF-Extract.
func (s secret) next(material []byte) secret { return s.schedule.extract(material, s.salt()) }

func (s secret) salt() []byte { return s.derive("derived", s.schedule.empty()).value }

// derive is Derive-Secret of a transcript that is hashed already.
func (s secret) derive(label string, transcriptHash []byte) secret {
	return secret{s.schedule, s.expandLabel(nil, label, transcriptHash, s.schedule.Hash.Size())}
}

// expandLabel appends n bytes of HKDF-Expand-Label (RFC 9846 7.1), whose info is
//
//	uint16 length; opaque label<7..255> = prefix + label; opaque context<0..255>
func (s secret) expandLabel(dst []byte, label string, context []byte, n int) []byte {
	prefix := s.schedule.prefix()
	if len(prefix)+len(label) > math.MaxUint8 || len(context) > math.MaxUint8 {
		panic("keys: label or context too long") // bounded by Export and by the wire
	}
	var room [96]byte // labels of applications may need more
	info := binary.BigEndian.AppendUint16(room[:0], uint16(n))
	info = append(info, byte(len(prefix)+len(label)))
	info = append(info, prefix...)
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	return s.expand(dst, append(info, 0), n)
}

// expand is HKDF-Expand (RFC 5869 2.3). The last byte of info is room for the
// number of a block, of which there are at most 255: Export sees to that.
func (s secret) expand(dst, info []byte, n int) []byte {
	begin := len(dst)
	var block []byte // the one before
	for len(dst) < begin+n {
		info[len(info)-1]++
		before := len(dst)
		dst = appendHMAC(dst, s.schedule.Hash, s.value, block, info)
		block = dst[before:]
	}
	return dst[:begin+n]
}
