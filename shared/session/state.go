// Package session is what outlives a connection so that another one can resume
// it: a State, the TicketKeys under which a server hands it to its clients, and
// the Cache in which a client keeps it.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package session

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// MaxLifetime is the longest that any session may be resumed, whatever a server
// says (RFC 9846 4.7.1).
const MaxLifetime = 7 * 24 * time.Hour

// A State is what both peers know of a session that can be resumed. It holds
// the session's secret: who has it can be either peer. It is never modified
// once it is made.
type State struct {
	Version protocol.Version // on the wire, so that DTLS and TLS don't mix
	Suite   uint16           // its hash binds the secret
	Secret  []byte           // 1.3: the PSK of the ticket, as long as the suite's hash; 1.2: the extended master secret

	Created  time.Time     // to the millisecond
	Lifetime time.Duration // in whole seconds, at most MaxLifetime
	AgeAdd   uint32        // hides the ticket's age (RFC 9846 4.3.11.1)

	// ExtendedMasterSecret is of 1.2 only: the key schedule of 1.3 does the same.
	ExtendedMasterSecret bool

	// What was agreed about the plaintext of records, in bytes; zero: nothing.
	FragmentLength uint16 // max_fragment_length, which stays with the session (RFC 6066 4)
	MaxPlaintext   uint16 // 1.3 with 0-RTT: how much a record of it may have

	MaxEarlyData uint32     // 1.3: how many bytes of 0-RTT the server takes; zero: none
	Client       netip.Addr // DTLS 1.3 with 0-RTT: the client's address, which was validated; else not valid

	// AcrossNames, at a client of 1.3, says that the server's ticket is good at every
	// server of a name in the certificate (see Config.ResumptionAcrossNames).
	AcrossNames bool

	ServerName string // SNI; empty if there was none
	Protocol   string // ALPN; each handshake negotiates it anew

	PSKIdentity  []byte   // of the external key that both peers have, if it authenticated them; not nil then
	RawPublicKey []byte   // the peer's SubjectPublicKeyInfo, in DER, if that is all it showed
	Chain        [][]byte // the peer's certificates, in DER; none if it showed none
	Staple       []byte   // the OCSP response that came with them
	Timestamps   [][]byte // the SCTs that came with them

	// How the first handshake went: the group of its key exchange, and the
	// scheme by which the peer signed, zero if it didn't.
	Group     tls.CurveID
	Signature tls.SignatureScheme

	// At the client: what to send back. Of 1.2, SessionID is instead of a ticket.
	Ticket, SessionID []byte

	// Renew, set by a server's UnwrapSession, gives a client of 1.2 a new ticket
	// for the same session. In 1.3 every connection brings new ones anyway. It is
	// not part of Bytes.
	Renew bool
}

// Life is from when, and until when, the session can be resumed.
func (s *State) Life() (from, until time.Time) {
	return s.Created.Add(-clockSkew), s.Created.Add(min(s.Lifetime, MaxLifetime))
}

// Expired reports whether the session is too old at now, or from the future.
func (s *State) Expired(now time.Time) bool {
	from, until := s.Life()
	return now.Before(from) || !now.Before(until)
}

// clockSkew is how far the clocks of servers that share their keys may differ.
const clockSkew = time.Minute

// Age is what a client sends as obfuscated_ticket_age: milliseconds since the
// ticket came, plus AgeAdd, modulo 2^32 (RFC 9846 4.3.11.1).
func (s *State) Age(now time.Time) uint32 {
	return uint32(now.Sub(s.Created).Milliseconds()) + s.AgeAdd
}

// Skew is by how much a client's obfuscated_ticket_age says more than the
// server's clock (RFC 9846 8.3).
func (s *State) Skew(age uint32, now time.Time) time.Duration {
	return time.Duration(int32(age-s.Age(now))) * time.Millisecond
}

// format is the first byte of a State's encoding. Another one is from another
// version of this library.
const format = 1

// Bytes is the State for a store of the application's; ParseState reads it. It
// is not encrypted. It fails if a field is longer than its length can say.
//
//	u8 format | u16 version | u16 suite | opaque8 secret | u64 created, in ms
//	| u32 lifetime, in s | u32 age_add | u8 flags | u32 max_early_data | opaque8 client address
//	| opaque8 server name | opaque8 protocol
//	| opaque24 (PSK identity, opaque16, if there is one) | opaque16 raw public key
//	| opaque24 (certificates, each opaque24) | opaque24 staple
//	| opaque16 (timestamps, each opaque16) | u16 group | u16 signature
//	| u16 max_fragment_length | u16 max_plaintext
//	| opaque16 ticket | opaque8 session_id
func (s *State) Bytes() ([]byte, error) {
	var b wire.Builder
	b.Uint8(format)
	b.Uint16(uint16(s.Version))
	b.Uint16(s.Suite)
	b.Bytes8(s.Secret)
	b.Uint64(uint64(s.Created.UnixMilli()))
	b.Uint32(uint32(s.Lifetime / time.Second))
	b.Uint32(s.AgeAdd)
	b.Uint8(s.flags())
	b.Uint32(s.MaxEarlyData)
	b.Bytes8(s.Client.AsSlice())
	b.Bytes8([]byte(s.ServerName))
	b.Bytes8([]byte(s.Protocol))
	b.Vector24(func() {
		if s.PSKIdentity != nil { // it may be empty
			b.Bytes16(s.PSKIdentity)
		}
	})
	b.Bytes16(s.RawPublicKey)
	b.Vector24(func() {
		for _, c := range s.Chain {
			b.Bytes24(c)
		}
	})
	b.Bytes24(s.Staple)
	b.Vector16(func() {
		for _, t := range s.Timestamps {
			b.Bytes16(t)
		}
	})
	b.Uint16(uint16(s.Group))
	b.Uint16(uint16(s.Signature))
	b.Uint16(s.FragmentLength)
	b.Uint16(s.MaxPlaintext)
	b.Bytes16(s.Ticket)
	b.Bytes8(s.SessionID)
	return b.Bytes()
}

// ParseState reads what Bytes gave, and copies it. It refuses anything else: a
// State of a version or suite that this library doesn't have, too.
func ParseState(data []byte) (*State, error) {
	var (
		kind         uint8
		version      uint16
		created      uint64
		lifetime     uint32
		flags        uint8
		secret, name cryptobyte.String
		psk, rawKey  cryptobyte.String
		alpn, chain  cryptobyte.String
		staple, scts cryptobyte.String
		client       cryptobyte.String
		ticket, id   cryptobyte.String
		original     cryptobyte.String
		s            State
	)
	original = append(original, data...)
	in := original
	if !in.ReadUint8(&kind) || kind != format {
		return nil, fmt.Errorf("session: format %d, expected %d", kind, format)
	}
	if !in.ReadUint16(&version) || !in.ReadUint16(&s.Suite) || !in.ReadUint8LengthPrefixed(&secret) ||
		!in.ReadUint64(&created) || !in.ReadUint32(&lifetime) || !in.ReadUint32(&s.AgeAdd) ||
		!in.ReadUint8(&flags) || !in.ReadUint32(&s.MaxEarlyData) || !in.ReadUint8LengthPrefixed(&client) ||
		!in.ReadUint8LengthPrefixed(&name) || !in.ReadUint8LengthPrefixed(&alpn) ||
		!in.ReadUint24LengthPrefixed(&psk) || !in.ReadUint16LengthPrefixed(&rawKey) ||
		!in.ReadUint24LengthPrefixed(&chain) || !in.ReadUint24LengthPrefixed(&staple) || !in.ReadUint16LengthPrefixed(&scts) ||
		!in.ReadUint16((*uint16)(&s.Group)) || !in.ReadUint16((*uint16)(&s.Signature)) ||
		!in.ReadUint16(&s.FragmentLength) || !in.ReadUint16(&s.MaxPlaintext) ||
		!in.ReadUint16LengthPrefixed(&ticket) || !in.ReadUint8LengthPrefixed(&id) || !in.Empty() {
		return nil, fmt.Errorf("session: %d bytes are no State, or not all of one", len(data))
	}
	if unknown := flags &^ (flagEMS | flagAcrossNames); unknown != 0 {
		return nil, fmt.Errorf("session: unknown flags, %#x", unknown)
	}
	if err := s.parseClient(client); err != nil {
		return nil, err
	}
	if err := s.parsePeer(psk, rawKey, chain, staple, scts); err != nil {
		return nil, err
	}
	if len(id) > 0 {
		s.SessionID = id
	}
	s.ExtendedMasterSecret, s.AcrossNames = flags&flagEMS != 0, flags&flagAcrossNames != 0
	s.Version = protocol.Version(version)
	s.Secret, s.ServerName, s.Protocol, s.Ticket = secret, string(name), string(alpn), ticket
	s.Created, s.Lifetime = time.UnixMilli(int64(created)), time.Duration(lifetime)*time.Second
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &s, nil
}

func (s *State) parseClient(address cryptobyte.String) error {
	if len(address) == 0 {
		return nil
	}
	var ok bool
	if s.Client, ok = netip.AddrFromSlice(address); !ok {
		return fmt.Errorf("session: a client's address of %d bytes", len(address))
	}
	return nil
}

// parsePeer reads what the peer has shown.
func (s *State) parsePeer(psk, rawKey, chain, staple, timestamps cryptobyte.String) error {
	if !psk.Empty() {
		var identity cryptobyte.String
		if !psk.ReadUint16LengthPrefixed(&identity) || !psk.Empty() {
			return fmt.Errorf("session: the PSK identity is truncated, or not all of it")
		}
		s.PSKIdentity = identity
	}
	if len(rawKey) > 0 {
		s.RawPublicKey = rawKey
	}
	if len(staple) > 0 {
		s.Staple = staple
	}
	var ok bool
	if s.Chain, ok = items(chain, (*cryptobyte.String).ReadUint24LengthPrefixed); !ok {
		return fmt.Errorf("session: a certificate is truncated or empty")
	}
	if s.Timestamps, ok = items(timestamps, (*cryptobyte.String).ReadUint16LengthPrefixed); !ok {
		return fmt.Errorf("session: a timestamp is truncated or empty")
	}
	return nil
}

// items are those of a list, of which none is empty.
func items(list cryptobyte.String, read func(list, item *cryptobyte.String) bool) (all [][]byte, ok bool) {
	for !list.Empty() {
		var item cryptobyte.String
		if !read(&list, &item) || item.Empty() {
			return nil, false
		}
		all = append(all, item)
	}
	return all, true
}

// The flags of the encoding.
const (
	flagEMS = 1 << iota
	flagAcrossNames
)

func (s *State) flags() (flags uint8) {
	if s.ExtendedMasterSecret {
		flags |= flagEMS
	}
	if s.AcrossNames {
		flags |= flagAcrossNames
	}
	return flags
}

const masterLen = 48 // RFC 5246 8.1

// Check refuses what no session of ours can be.
func (s *State) Check() error {
	known := suite.ByID(s.Suite)
	switch {
	case !s.Version.Known():
		return fmt.Errorf("session: of %v, which is not supported", s.Version)
	case known == nil || known.Version != s.Version.Over(protocol.Stream):
		return fmt.Errorf("session: suite 0x%04x is not one of %v", s.Suite, s.Version)
	case s.Version.Is13() && len(s.Secret) != known.Hash.Size() || !s.Version.Is13() && len(s.Secret) != masterLen:
		return fmt.Errorf("session: a secret of %d bytes does not go with %s", len(s.Secret), known.Name)
	case s.Lifetime > MaxLifetime:
		return fmt.Errorf("session: a lifetime of %v, more than %v", s.Lifetime, MaxLifetime)
	}
	return nil
}
