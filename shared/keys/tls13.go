package keys

import (
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"math"

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
type Schedule struct {
	Hash      crypto.Hash
	Transport protocol.Transport
}

// prefixes stand before every label. That of DTLS has no space at its end: all
// labels then fit one block of the hash (RFC 9147 5.9).
var prefixes = [...]string{protocol.Stream: "tls13 ", protocol.Datagram: "dtls13"}

// A secret is one value of the schedule, and what the next derive from.
type secret struct {
	schedule Schedule
	value    []byte
}

type (
	EarlySecret      struct{ secret } // what a PSK gives, or none
	BinderKey        struct{ secret } // proves that a PSK is known
	HandshakeSecret  struct{ secret } // and what the key exchange gives
	MasterSecret     struct{ secret } // "main secret" since RFC 9846
	TrafficSecret    struct{ secret } // protects one direction in one epoch
	ExporterSecret   struct{ secret } // what applications derive from
	ResumptionSecret struct{ secret } // what tickets derive from
)

// Early begins the schedule with a PSK, or with nil for none.
func (s Schedule) Early(psk []byte) EarlySecret {
	return EarlySecret{s.extract(psk, nil)}
}

// BinderExternal is the binder_key of a PSK from outside the protocol.
func (e EarlySecret) BinderExternal() BinderKey {
	return BinderKey{e.derive("ext binder", e.empty())}
}

// BinderImported is the binder_key of a PSK from outside that was imported
// (RFC 9258 5.2).
func (e EarlySecret) BinderImported() BinderKey {
	return BinderKey{e.derive("imp binder", e.empty())}
}

// BinderResumption is the binder_key of a PSK from a ticket.
func (e EarlySecret) BinderResumption() BinderKey {
	return BinderKey{e.derive("res binder", e.empty())}
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
	k := RecordKey{
		Key: t.expandLabel("key", nil, s.AEAD.KeyLen),
		IV:  t.expandLabel("iv", nil, s.AEAD.SaltLen),
	}
	if t.schedule.Transport == protocol.Datagram {
		k.Number = t.expandLabel("sn", nil, s.AEAD.KeyLen)
	}
	return k
}

// Finished is the verify_data of a Finished under this handshake traffic secret
// (RFC 9846 4.5.3), as long as the hash.
func (t TrafficSecret) Finished(transcriptHash []byte) []byte { return t.verifyData(transcriptHash) }

// Next is the secret after a KeyUpdate (RFC 9846 7.2).
func (t TrafficSecret) Next() TrafficSecret {
	return TrafficSecret{secret{t.schedule, t.expandLabel("traffic upd", nil, t.schedule.Hash.Size())}}
}

// Bytes is the secret itself, for the key log, and for a connection that goes on
// elsewhere.
func (t TrafficSecret) Bytes() []byte { return t.value }

// Export is the exporter of RFC 9846 7.5. A nil context and an empty one are
// the same. It fails for a label or context too long to be encoded, and for n
// beyond 255 times the length of the hash.
func (e ExporterSecret) Export(label string, context []byte, n int) ([]byte, error) {
	if longest := math.MaxUint8 - len(e.prefix()); len(label) > longest {
		return nil, fmt.Errorf("keys: exporter label of %d bytes, expected at most %d", len(label), longest)
	}
	if err := checkExport(context, n); err != nil {
		return nil, err
	}
	if longest := 255 * e.schedule.Hash.Size(); n > longest { // RFC 5869 2.3
		return nil, fmt.Errorf("keys: exporter length %d, expected at most %d", n, longest)
	}
	return e.derive(label, e.empty()).expandLabel("exporter", e.schedule.sum(context), n), nil
}

// Bytes is the secret itself, for the key log.
func (e ExporterSecret) Bytes() []byte { return e.value }

// Bytes is the secret itself, for a connection that goes on elsewhere.
func (r ResumptionSecret) Bytes() []byte { return r.value }

// PSK is the key of the ticket with this nonce of at most 255 bytes
// (RFC 9846 4.7.1), as long as the hash.
func (r ResumptionSecret) PSK(nonce []byte) []byte {
	return r.expandLabel("resumption", nonce, r.schedule.Hash.Size())
}

// Confirmation is what a server says with eight bytes to an encrypted ClientHello
// with this random, under one of the labels of RFC 9849 7.2.
func (s Schedule) Confirmation(random []byte, label string, transcriptHash []byte) []byte {
	return s.extract(random, nil).expandLabel(label, transcriptHash, 8)
}

// Import derives a PSK of n bytes, for the one protocol and KDF that an
// ImportedIdentity names, from an external key (RFC 9258 5.1). The Schedule's hash
// is the one that belongs to the external key.
func (s Schedule) Import(key, identity []byte, n int) []byte {
	return s.extract(key, nil).expandLabel("derived psk", s.sum(identity), n)
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
	value, err := hkdf.Extract(s.Hash.New, material, salt)
	if err != nil {
		panic("keys: " + err.Error()) // only a short key in FIPS 140-only mode
	}
	return secret{s, value}
}

// sum is the hash of a whole message.
func (s Schedule) sum(message []byte) []byte {
	h := s.Hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// empty is the hash of an empty transcript.
func (s secret) empty() []byte { return s.schedule.sum(nil) }

func (s secret) prefix() string { return prefixes[s.schedule.Transport] }

// next is one step down the schedule: Derive-Secret(., "derived", ""), then
// HKDF-Extract.
func (s secret) next(material []byte) secret {
	return s.schedule.extract(material, s.derive("derived", s.empty()).value)
}

// derive is Derive-Secret of a transcript that is hashed already.
func (s secret) derive(label string, transcriptHash []byte) secret {
	return secret{s.schedule, s.expandLabel(label, transcriptHash, s.schedule.Hash.Size())}
}

// verifyData is the HMAC of a transcript under this secret's finished_key
// (RFC 9846 4.5.3).
func (s secret) verifyData(transcriptHash []byte) []byte {
	finishedKey := s.expandLabel("finished", nil, s.schedule.Hash.Size())
	mac := hmac.New(s.schedule.Hash.New, finishedKey)
	mac.Write(transcriptHash)
	return mac.Sum(nil)
}

// expandLabel is HKDF-Expand-Label (RFC 9846 7.1), whose info is
//
//	uint16 length; opaque label<7..255> = prefix + label; opaque context<0..255>
func (s secret) expandLabel(label string, context []byte, n int) []byte {
	label = s.prefix() + label
	if len(label) > math.MaxUint8 || len(context) > math.MaxUint8 {
		panic("keys: label or context too long") // bounded by Export and by the wire
	}
	info := make([]byte, 0, 2+1+len(label)+1+len(context))
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(len(label)))
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	value, err := hkdf.Expand(s.schedule.Hash.New, s.value, string(info), n)
	if err != nil {
		panic("keys: " + err.Error()) // n is bounded by Export, the rest are constants
	}
	return value
}
