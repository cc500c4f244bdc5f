package handshake

import (
	"bytes"
	"math"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// use_srtp (RFC 5764 4.1): which protection the media streams beside this
// association get. Nothing of them is seen here, but their keys come from here. It
// is only defined over datagrams.

// An SRTPProfile is a protection profile of DTLS-SRTP, as IANA numbers them.
type SRTPProfile = protocol.SRTPProfile

// srtp is what was agreed.
type srtp struct {
	profile    SRTPProfile
	identifier []byte // of the master key (MKI); empty if packets carry none
}

func (c *Config) validateSRTP() error {
	switch {
	case len(c.SRTPMasterKeyIdentifier) > math.MaxUint8:
		return unusable("SRTPMasterKeyIdentifier", "longer than 255 bytes")
	case len(c.SRTPMasterKeyIdentifier) > 0 && len(c.SRTPProfiles) == 0:
		return unusable("SRTPMasterKeyIdentifier", "there are no SRTPProfiles to go with it")
	}
	return nil
}

func offerUseSRTP(m *Machine, b *wire.Builder) bool {
	if m.transport != protocol.Datagram || len(m.config.SRTPProfiles) == 0 {
		return false
	}
	message.AppendUseSRTP(b, message.MakeUint16s(m.config.SRTPProfiles), m.config.SRTPMasterKeyIdentifier)
	return true
}

// receiveUseSRTP hears what the client offers.
func receiveUseSRTP(m *Machine, body []byte) (err error) {
	if m.transport != protocol.Datagram {
		return nil
	}
	m.hello.srtpProfiles, m.hello.srtpIdentifier, err = message.ParseUseSRTP(body)
	return err
}

// answerUseSRTP takes the server's first choice of what the client offers;
// without any in common the extension goes unanswered (RFC 5764 4.1.1). A server
// echoes the identifier that it has, too, and leaves any other out (RFC 5764 4.1.3).
func answerUseSRTP(m *Machine, _ where, b *wire.Builder) bool {
	i := slices.IndexFunc(m.config.SRTPProfiles, func(p protocol.SRTPProfile) bool { return m.hello.srtpProfiles.Contains(uint16(p)) })
	if i < 0 {
		return false
	}
	m.srtp = srtp{profile: m.config.SRTPProfiles[i]}
	if bytes.Equal(m.hello.srtpIdentifier, m.config.SRTPMasterKeyIdentifier) {
		m.srtp.identifier = m.config.SRTPMasterKeyIdentifier
	}
	message.AppendUseSRTP(b, message.MakeUint16s(m.config.SRTPProfiles[i:i+1]), m.srtp.identifier)
	return true
}

func acceptUseSRTP(m *Machine, _ where, body []byte) error {
	profiles, identifier, err := message.ParseUseSRTP(body)
	offered := m.config.SRTPMasterKeyIdentifier
	switch chosen := message.Collect[protocol.SRTPProfile](profiles); {
	case err != nil:
		return err
	case len(chosen) != 1 || !slices.Contains(m.config.SRTPProfiles, chosen[0]): // RFC 5764 4.1.1
		return alert.Peerf(alert.IllegalParameter, "%w: the server chose %v of the %v on offer", alert.BadSRTPProfile, chosen, m.config.SRTPProfiles)
	case len(identifier) > 0 && !bytes.Equal(identifier, offered): // RFC 5764 4.1.3
		return alert.Peerf(alert.IllegalParameter, "use_srtp: the master key identifier %x, and %x was offered", identifier, offered)
	case len(identifier) > 0:
		m.srtp = srtp{chosen[0], offered}
	default:
		m.srtp = srtp{profile: chosen[0]}
	}
	return nil
}

// --- The keys (RFC 5764 4.2)

// SRTPKeys are what SRTP and SRTCP protect packets with: each side sends with its
// own, and receives with the other's. A profile with AES-128 has master keys of 16
// bytes, one with AES-256 of 32; salts have 14 bytes with HMAC-SHA1 and 12 with GCM.
type SRTPKeys struct {
	ClientMasterKey, ServerMasterKey   []byte
	ClientMasterSalt, ServerMasterSalt []byte
}

// SRTPKeys derives the keys for SRTPProfile. It fails before the handshake is
// complete, where no profile was agreed or one that this library doesn't know, and
// where ExportKeyingMaterial does.
func (s *ConnectionState) SRTPKeys() (SRTPKeys, error) {
	key, salt := srtpLengths(s.SRTPProfile)
	switch {
	case !s.HandshakeComplete: // a server of 0-RTT could export earlier
		return SRTPKeys{}, alert.Localf(alert.InternalError, "%w: no keys for SRTP yet", alert.HandshakeIncomplete)
	case s.SRTPProfile == 0:
		return SRTPKeys{}, alert.Localf(alert.InternalError, "no SRTP profile was agreed")
	case key == 0:
		return SRTPKeys{}, alert.Localf(alert.InternalError, "the keys of %v are of unknown lengths", s.SRTPProfile)
	}
	material, err := s.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return SRTPKeys{}, err
	}
	next := func(n int) (part []byte) {
		part, material = material[:n:n], material[n:]
		return part
	}
	return SRTPKeys{ClientMasterKey: next(key), ServerMasterKey: next(key), ClientMasterSalt: next(salt), ServerMasterSalt: next(salt)}, nil
}

// srtpLengths are the lengths of a profile's master key and salt, in bytes, zero if
// it is unknown (RFC 5764 4.1.2, RFC 7714 12 and 14.2).
func srtpLengths(p protocol.SRTPProfile) (key, salt int) {
	switch p {
	case protocol.SRTPAES128CMHMACSHA1_80, protocol.SRTPAES128CMHMACSHA1_32:
		return 16, 14
	case protocol.SRTPAEADAES128GCM:
		return 16, 12
	case protocol.SRTPAEADAES256GCM:
		return 32, 12
	}
	return 0, 0
}
