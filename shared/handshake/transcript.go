package handshake

import (
	"crypto"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A transcript hashes the handshake as it crosses (RFC 9846 4.1, RFC 5246
// 7.4.9). The Machine alone feeds it.
//
// Until version and hash are known it keeps messages as they are, because the
// header that is hashed with them depends on the version: over datagrams 1.2
// hashes the 12-byte header as if the message had not been fragmented
// (RFC 6347 4.2.6), 1.3 only type and length (RFC 9147 5.2).
type transcript struct {
	hash    hash.Hash
	kind    crypto.Hash
	longer  bool   // headers carry message_seq and fragment fields
	held    []held // until begin
	raw     []byte // every byte since begin, if keepRaw: see CertificateVerify of 1.2
	keepRaw bool
	head    [12]byte // of the message that is hashed right now
}

type held struct {
	kind protocol.HandshakeType
	seq  uint16
	body []byte
}

// add appends one message.
func (t *transcript) add(m Message) {
	if t.hash == nil {
		t.held = append(t.held, held{m.Type, m.Seq, slices.Clone(m.Body)})
		return
	}
	t.write(t.header(m.Type, m.Seq, len(m.Body)))
	t.write(m.Body)
}

// begin fixes hash and header form, and hashes what was held.
func (t *transcript) begin(h crypto.Hash, v protocol.Version) {
	t.kind, t.hash = h, h.New()
	t.longer = v == protocol.VersionDTLS12
	for _, m := range t.held {
		t.write(t.header(m.kind, m.seq, len(m.body)))
		t.write(m.body)
	}
	t.held = nil
}

// restart forgets the ClientHello that a HelloVerifyRequest answered
// (RFC 6347 4.2.1).
//
// RFC 6347 4.2.6 [2]
func (t *transcript) restart() { t.held = nil }

// retry replaces all that came before a HelloRetryRequest by the message_hash
// of the first ClientHello (RFC 9846 4.1), of which helloHash is the hash.
func (t *transcript) retry(helloHash []byte) {
	t.hash.Reset()
	t.write([]byte{byte(protocol.MessageHash), 0, 0, byte(len(helloHash))})
	t.write(helloHash)
}

// sum is the transcript hash so far.
func (t *transcript) sum() []byte { return t.hash.Sum(nil) }

// sumWith is the hash h of the transcript and, after it, of the first n bytes of
// a ClientHello of 1.3, whose header says its whole length (RFC 9846 4.3.11.2).
func (t *transcript) sumWith(h crypto.Hash, hello []byte, n int) []byte {
	next := h.New()
	if t.hash != nil {
		next, _ = t.hash.(hash.Cloner).Clone() // SHA-2 can
	}
	next.Write((&transcript{}).header(protocol.ClientHello, 0, len(hello)))
	next.Write(hello[:n])
	return next.Sum(nil)
}

// sumHello is the hash h of a first ClientHello, before a suite has fixed the
// transcript's own.
func (t *transcript) sumHello(h crypto.Hash) []byte {
	first := transcript{held: t.held}
	first.begin(h, protocol.VersionTLS13)
	return first.sum()
}

// sumAnd is the hash of the transcript and, after it, of one message more.
func (t *transcript) sumAnd(m Message) []byte {
	next, _ := t.hash.(hash.Cloner).Clone() // SHA-2 can
	next.Write(t.header(m.Type, m.Seq, len(m.Body)))
	next.Write(m.Body)
	return next.Sum(nil)
}

// signed is all messages so far, which CertificateVerify of 1.2 signs with a
// hash of its own choice (RFC 5246 7.4.8).
func (t *transcript) signed() []byte { return t.raw }

func (t *transcript) write(p []byte) {
	t.hash.Write(p)
	if t.keepRaw {
		t.raw = append(t.raw, p...)
	}
}

// RFC 6347 4.2.6 [1]
func (t *transcript) header(kind protocol.HandshakeType, seq uint16, length int) []byte {
	h := binary.BigEndian.AppendUint32(t.head[:0], uint32(kind)<<24|uint32(length))
	if t.longer {
		h = binary.BigEndian.AppendUint16(h, seq)
		h = append(h, 0, 0, 0)          // fragment_offset
		h = append(h, h[1], h[2], h[3]) // fragment_length
	}
	return h
}
