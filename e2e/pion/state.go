package dtls

import (
	"bytes"
	"crypto/rand"
	"encoding/gob"
	"net"

	"github.com/pion/dtls/v3/pkg/protocol/handshake"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A State describes an association. MarshalBinary hands it over to another process,
// where ResumeWithOptions goes on with it.
type State struct {
	CipherSuiteID      CipherSuiteID
	PeerCertificates   [][]byte // in DER
	IdentityHint       []byte   // the PSK identity that authenticates both peers
	SessionID          []byte   // always empty: godwit doesn't say it
	NegotiatedProtocol string

	inner  godwit.ConnectionState
	conn   *Conn   // whose state it is, unless
	handed *handed // it was handed over
}

// newState is the state of a Conn, which is nil while its handshake verifies.
func newState(inner godwit.ConnectionState, conn *Conn) *State {
	s := &State{
		CipherSuiteID:      CipherSuiteID(inner.CipherSuite),
		IdentityHint:       inner.PSKIdentity,
		NegotiatedProtocol: inner.NegotiatedProtocol,
		inner:              inner,
		conn:               conn,
	}
	for _, c := range inner.PeerCertificates {
		s.PeerCertificates = append(s.PeerCertificates, c.Raw)
	}
	return s
}

// ExportKeyingMaterial returns length bytes of keying material bound to the
// association (RFC 5705, RFC 9846 7.5). An empty context is none. It fails before the
// handshake is complete, and in 1.2 without extended_master_secret.
func (s *State) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if len(context) == 0 {
		context = nil
	}
	return s.inner.ExportKeyingMaterial(label, context, length)
}

// RemoteRandomBytes is always zero: godwit doesn't say them.
func (s *State) RemoteRandomBytes() [handshake.RandomBytesLength]byte {
	return [handshake.RandomBytesLength]byte{}
}

// Godwit is not Pion's: it is all that godwit says, as the version and the key
// exchange group. It is empty for what UnmarshalBinary has read.
func (s *State) Godwit() godwit.ConnectionState { return s.inner }

// handed is an association on its way from one process to another.
type handed struct {
	Client             bool
	Key, Blob          []byte
	CipherSuiteID      CipherSuiteID
	PeerCertificates   [][]byte
	IdentityHint       []byte
	NegotiatedProtocol string
}

// MarshalBinary writes the association down and ends it here: the Conn says nothing
// any more, not even goodbye, and its link is closed. Warning: who has the bytes can
// be either peer, and read all that they say; and they may be used once.
func (s *State) MarshalBinary() ([]byte, error) {
	h, err := s.handOver()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(h)
	return b.Bytes(), err
}

// UnmarshalBinary reads what MarshalBinary gave, for ResumeWithOptions.
func (s *State) UnmarshalBinary(data []byte) error {
	h := new(handed)
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(h); err != nil {
		return err
	}
	if len(h.Blob) == 0 {
		return refused("a State without an association")
	}
	*s = State{
		CipherSuiteID:      h.CipherSuiteID,
		PeerCertificates:   h.PeerCertificates,
		IdentityHint:       h.IdentityHint,
		NegotiatedProtocol: h.NegotiatedProtocol,
		handed:             h,
	}
	return nil
}

func (s *State) handOver() (*handed, error) {
	switch {
	case s.handed != nil:
		return s.handed, nil
	case s.conn == nil || !s.inner.HandshakeComplete:
		return nil, refused("the State of no Conn whose handshake is complete")
	}
	h := &handed{
		Client:             s.conn.client,
		Key:                make([]byte, 32),
		CipherSuiteID:      s.CipherSuiteID,
		PeerCertificates:   s.PeerCertificates,
		IdentityHint:       s.IdentityHint,
		NegotiatedProtocol: s.NegotiatedProtocol,
	}
	rand.Read(h.Key) // never fails
	var err error
	if h.Blob, err = s.conn.inner.Export(h.Key); err != nil {
		return nil, err
	}
	s.handed = h
	return h, nil
}

// ResumeWithOptions goes on with an association that MarshalBinary wrote down, over
// conn; what comes from another address than rAddr is dropped. Warning: it can't tell
// whether somebody has gone on with the same State before. Two that do so use the
// same keys with the same record numbers, which gives away what is sent. See
// godwit's Config.Store, which can tell.
func ResumeWithOptions(state *State, conn net.PacketConn, rAddr net.Addr, opts ...Option) (*Conn, error) {
	config, err := configured(opts, Option.applyServer)
	if err != nil {
		return nil, err
	}
	return Resume(state, conn, rAddr, config)
}

// Resume is ResumeWithOptions with a Config.
func Resume(state *State, conn net.PacketConn, rAddr net.Addr, config *Config) (*Conn, error) {
	h, err := state.handOver()
	if err != nil {
		return nil, err
	}
	translate := config.server
	if h.Client {
		translate = func() (*godwit.Config, error) { return config.client(rAddr) }
	}
	g, err := translate()
	if err != nil {
		return nil, err
	}
	g.InsecureImportWithoutStore = true // as the warning says
	c, err := over(conn, rAddr, g, func(l net.Conn, g *godwit.Config) (*godwit.Conn, error) {
		return godwit.Import(l, g, h.Blob, h.Key)
	})
	if err != nil {
		return nil, err
	}
	c.client = h.Client
	return c, nil
}
