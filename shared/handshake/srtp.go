package handshake

import (
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// use_srtp (RFC 5764 4.1): which protection the media streams beside this
// association get. Their keys are exported from it (ConnectionState); nothing of
// them is seen here. It is only defined over datagrams, and a master key
// identifier (MKI) is neither offered nor taken.

func offerUseSRTP(m *Machine, b *wire.Builder) bool {
	if m.transport != protocol.Datagram || len(m.config.SRTPProfiles) == 0 {
		return false
	}
	message.AppendUseSRTP(b, message.MakeUint16s(m.config.SRTPProfiles), nil)
	return true
}

// receiveUseSRTP takes the server's first choice of what the client offers;
// without any in common the extension goes unanswered (RFC 5764 4.1.1).
func receiveUseSRTP(m *Machine, body []byte) error {
	if m.transport != protocol.Datagram {
		return nil
	}
	profiles, _, err := message.ParseUseSRTP(body)
	m.hello.srtpProfiles = profiles
	return err
}

func answerUseSRTP(m *Machine, _ where, b *wire.Builder) bool {
	i := slices.IndexFunc(m.config.SRTPProfiles, func(p protocol.SRTPProfile) bool { return m.hello.srtpProfiles.Contains(uint16(p)) })
	if i < 0 {
		return false
	}
	m.srtpProfile = m.config.SRTPProfiles[i]
	message.AppendUseSRTP(b, message.MakeUint16s(m.config.SRTPProfiles[i:i+1]), nil)
	return true
}

func acceptUseSRTP(m *Machine, _ where, body []byte) error {
	profiles, identifier, err := message.ParseUseSRTP(body)
	switch chosen := message.Collect[protocol.SRTPProfile](profiles); {
	case err != nil:
		return err
	case len(chosen) != 1 || !slices.Contains(m.config.SRTPProfiles, chosen[0]): // RFC 5764 4.1.1
		return alert.Peerf(alert.IllegalParameter, "%w: the server chose %v of the %v on offer", alert.BadSRTPProfile, chosen, m.config.SRTPProfiles)
	case len(identifier) > 0: // RFC 5764 4.1.3
		return alert.Peerf(alert.IllegalParameter, "use_srtp: a master key identifier of %d bytes, and none was offered", len(identifier))
	default:
		m.srtpProfile = chosen[0]
	}
	return nil
}
