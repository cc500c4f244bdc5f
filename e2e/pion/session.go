package dtls

import (
	"crypto/rand"
	"crypto/sha256"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A SessionStore keeps sessions: a client's by the server's name, or its address if
// it has none; a server's by what the client names it by. What is stored are secrets.
type SessionStore interface {
	// Set keeps a session under a key.
	Set(key []byte, s Session) error
	// Get finds it; a Session without ID is none.
	Get(key []byte) (Session, error)
	// Del forgets it.
	Del(key []byte) error
}

// A Session is what a SessionStore keeps, all of it. Its Secret is what godwit calls
// a SessionState, in bytes; entries of Pion's own are passed over.
type Session struct {
	ID                   []byte
	Secret               []byte
	Version              uint8
	IsClient             bool
	CipherSuiteID        CipherSuiteID
	ExtendedMasterSecret bool
	PeerCertificates     [][]byte
	IdentityHint         []byte
	PSKHash              [sha256.Size]byte
}

// sessionVersion tells a Session of godwit's from Pion's, which are 0 and 1.
const sessionVersion = 'g'

func packSession(id []byte, s *godwit.SessionState, client bool) (Session, error) {
	secret, err := s.Bytes()
	return Session{
		ID:                   id,
		Secret:               secret,
		Version:              sessionVersion,
		IsClient:             client,
		CipherSuiteID:        CipherSuiteID(s.Suite),
		ExtendedMasterSecret: s.ExtendedMasterSecret,
		PeerCertificates:     s.Chain,
		IdentityHint:         s.PSKIdentity,
	}, err
}

// unpack is nil, false for what can't be resumed.
func (s Session) unpack(client bool) (*godwit.SessionState, bool) {
	if s.Version != sessionVersion || s.IsClient != client {
		return nil, false
	}
	state, err := godwit.ParseSessionState(s.Secret)
	return state, err == nil
}

// clientSessions is a SessionStore as a ClientSessionCache, from which a session is
// taken out to be used.
type clientSessions struct{ store SessionStore }

func (c clientSessions) Get(key string) (*godwit.SessionState, bool) {
	found, err := c.store.Get([]byte(key))
	if err != nil {
		return nil, false
	}
	state, ok := found.unpack(true)
	if !ok || c.store.Del([]byte(key)) != nil {
		return nil, false // what can't be taken out might be used twice
	}
	return state, true
}

func (c clientSessions) Put(key string, state *godwit.SessionState) {
	if s, err := packSession([]byte(key), state, true); err == nil {
		c.store.Set([]byte(key), s) // without it, the next handshake is a full one
	}
}

// serveSessions keeps a server's sessions in a store: in both versions a ticket is no
// more than a name in there, and clients of 1.2 without tickets have session IDs.
func serveSessions(g *godwit.Config, store SessionStore) {
	sessions := serverSessions{store}
	g.ServerSessionCache = sessions
	g.WrapSession = func(_ godwit.ConnectionState, state *godwit.SessionState) ([]byte, error) {
		name := make([]byte, 32)
		rand.Read(name) // never fails
		sessions.Put(name, state)
		return name, nil
	}
	g.UnwrapSession = func(name []byte, _ godwit.ConnectionState) (*godwit.SessionState, error) {
		state, _ := sessions.Get(name)
		return state, nil
	}
}

type serverSessions struct{ store SessionStore }

func (c serverSessions) Put(id []byte, state *godwit.SessionState) {
	if s, err := packSession(id, state, false); err == nil {
		c.store.Set(id, s)
	}
}

func (c serverSessions) Get(id []byte) (*godwit.SessionState, bool) {
	found, err := c.store.Get(id)
	if err != nil {
		return nil, false
	}
	return found.unpack(false)
}

func (c serverSessions) Delete(id []byte) bool {
	_, found := c.Get(id)
	return c.store.Del(id) == nil && found
}
