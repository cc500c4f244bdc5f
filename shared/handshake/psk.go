package handshake

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// An ExternalPSK is a key that both peers were given by some other means
// (RFC 9257). Whoever has it can be either of them.
type ExternalPSK struct {
	// Identity tells the peer which key is meant. It goes over the wire in the
	// clear. In 1.3 it has at least one byte; a key without serves 1.2 alone.
	Identity []byte

	// Key is the secret: at least 16 bytes of randomness (RFC 9257 6). Warning: a
	// password is no such thing. Whoever plays the server, or in 1.2 without ECDHE
	// only records a handshake, can try all passwords against it (RFC 9257 4.2).
	// With PSKDirect shorter keys are taken, as there are devices that have them.
	Key []byte

	// Use is how the key is used, and so in which versions: by default in 1.3
	// alone, by the importer of RFC 9258.
	Use PSKUse

	// Hash belongs to the key: SHA-256 (and if it is zero) or SHA-384. It is the
	// importer's, or with PSKDirect that of the only suites of 1.3 that the key goes
	// with. 1.2 has no use for it.
	Hash crypto.Hash

	// Context is the importer's: where the key comes from, or which role each peer
	// has, if more than two know the key (RFC 9258 appendix A). Both peers need the
	// same. It goes over the wire in the clear.
	Context []byte
}

// A PSKUse is how an ExternalPSK is used.
type PSKUse uint8

const (
	// PSKImported is the importer of RFC 9258: 1.3 alone, with suites of any hash.
	PSKImported PSKUse = iota

	// PSKDirect uses the key as it is, in 1.3 and in 1.2's PSK suites, as most
	// stacks do. RFC 9846 F.7 knows no attack on that, but wants another key for
	// each version.
	PSKDirect

	// PSKDirect12 uses the key as it is, in 1.2 alone.
	PSKDirect12
)

// hash is SHA-256 if nobody said otherwise (RFC 9846 4.3.11, RFC 9258 5.1).
//
// RFC 9846 2.2 [2], 4.3.11 [2]
func (p *ExternalPSK) hash() crypto.Hash {
	if p.Hash == 0 {
		return crypto.SHA256
	}
	return p.Hash
}

// serves reports whether a key is for version v.
func (p *ExternalPSK) serves(v protocol.Version) bool {
	if v.Is13() {
		return p.Use != PSKDirect12 && len(p.Identity) > 0
	}
	return p.Use != PSKImported
}

// validate says why a key can't be used.
func (p *ExternalPSK) validate() error {
	switch {
	case len(p.Key) == 0 || len(p.Key) > math.MaxUint16:
		return fmt.Errorf("PSK: the Key has %d bytes, expected 1 to 65535", len(p.Key))
	case p.Use == PSKImported && len(p.Key) < 16: // RFC 9257 6
		return fmt.Errorf("PSK: the Key has %d bytes, expected at least 16 to import", len(p.Key))
	case p.Use > PSKDirect12:
		return fmt.Errorf("PSK: unknown Use %d", p.Use)
	case p.Hash != 0 && p.Hash != crypto.SHA256 && p.Hash != crypto.SHA384:
		return fmt.Errorf("PSK: %v is not SHA-256 or SHA-384", p.Hash)
	case len(p.Context) > 0 && p.Use != PSKImported:
		return errors.New("PSK: only what is imported has a Context")
	case p.Use == PSKImported && len(p.Identity) == 0:
		return errors.New("PSK: without an Identity it can't be imported")
	case len(p.Identity)+len(p.Context) > maxIdentity:
		return fmt.Errorf("PSK: Identity and Context have more than %d bytes", maxIdentity)
	}
	return nil
}

// maxIdentity bounds what a key is named by, so that it fits into a ClientHello
// under each hash (RFC 9258 5.1).
const maxIdentity = 1 << 14

// --- In 1.3

// A psk is a pre-shared key of 1.3 (RFC 9846 4.3.11): the secret of a session, or
// an external key for suites of one hash.
type psk struct {
	identity []byte
	age      uint32 // obfuscated_ticket_age
	secret   []byte
	hash     crypto.Hash
	binder   func(keys.EarlySecret) keys.BinderKey

	session    *resumption // whose secret it is, or
	credential *Credential // with the external key
}

// The hashes of 1.3's suites, and the names that the importer has for them.
var kdfs = []struct {
	hash crypto.Hash
	id   uint16
}{{crypto.SHA256, message.KDFSHA256}, {crypto.SHA384, message.KDFSHA384}}

// external is the key of a credential for suites of hash h; nil if it has none.
// The age of an external key is 0 (RFC 9846 4.3.11).
//
// RFC 9846 4.3.11 [1]
func (c *Credential) external(h crypto.Hash, t protocol.Transport) *psk {
	p := c.PSK
	if p.Use == PSKDirect {
		if h != p.hash() {
			return nil
		}
		return &psk{identity: p.Identity, secret: p.Key, hash: h, binder: keys.EarlySecret.BinderExternal, credential: c}
	}
	for _, kdf := range kdfs {
		if kdf.hash != h {
			continue
		}
		id := message.ImportedIdentity{External: p.Identity, Context: p.Context, Protocol: protocol.VersionTLS13.Over(t), KDF: kdf.id}
		var b wire.Builder
		id.Append(&b)
		identity, err := b.Bytes()
		if err != nil {
			return nil // too long, which validate has refused
		}
		secret := keys.Schedule{Hash: p.hash(), Transport: t}.Import(p.Key, identity, h.Size())
		return &psk{identity: identity, secret: secret, hash: h, binder: keys.EarlySecret.BinderImported, credential: c}
	}
	return nil
}

// psk is the key of a session, at the time of the ClientHello.
func (r *resumption) psk(now time.Time) *psk {
	return &psk{
		identity: r.state.Ticket,
		age:      r.state.Age(now),
		secret:   r.state.Secret,
		hash:     suite.ByID(r.state.Suite).Hash,
		binder:   keys.EarlySecret.BinderResumption,
		session:  r,
	}
}

// named reports whether an identity on the wire is that of the key, and for
// suites of which hash. It does not allocate: a Listener asks it before a cookie.
func (p *ExternalPSK) named(identity []byte, t protocol.Transport) (crypto.Hash, bool) {
	if p.Use == PSKDirect {
		return p.hash(), bytes.Equal(identity, p.Identity)
	}
	external, context, h := importedFor(identity, t)
	return h, h != 0 && p.Use == PSKImported && bytes.Equal(external, p.Identity) && bytes.Equal(context, p.Context)
}

// importedFor takes an identity apart that was imported for 1.3 over t and a hash
// that we have. Without one, its hash is 0.
func importedFor(identity []byte, t protocol.Transport) (external, context []byte, h crypto.Hash) {
	var id message.ImportedIdentity
	if !id.Parse(identity) || id.Protocol != protocol.VersionTLS13.Over(t) {
		return nil, nil, 0
	}
	for _, kdf := range kdfs {
		if kdf.id == id.KDF {
			return id.External, id.Context, kdf.hash
		}
	}
	return nil, nil, 0
}

// --- In the Config

// psks are the credentials that are keys for version v, most preferred first.
func (c *Config) psks(v protocol.Version) iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		for i := range c.Credentials {
			if p := c.Credentials[i].PSK; p != nil && p.serves(v) && !yield(&c.Credentials[i]) {
				return
			}
		}
	}
}

// pskFor returns the key for version v that has this identity, or nil.
func (c *Config) pskFor(v protocol.Version, identity []byte) *Credential {
	for known := range c.psks(v) {
		if bytes.Equal(known.PSK.Identity, identity) {
			return known
		}
	}
	return nil
}

// hasPSK reports whether a client has a key for version v, or may get one.
func (c *Config) hasPSK(v protocol.Version) bool {
	for range c.psks(v) {
		return true
	}
	return !v.Is13() && c.GetClientPSK != nil
}

// hasCertificate reports whether a server has anything else to show than external
// keys, so that a client gets in without one.
func (c *Config) hasCertificate() bool {
	return len(c.Certificates) > 0 || c.GetCertificate != nil ||
		slices.ContainsFunc(c.Credentials, func(c Credential) bool { return c.PSK == nil })
}

// needsPSK reports whether a client takes no server without a common key.
func (c *Config) needsPSK() bool {
	return !c.PSKOrCertificate && (c.hasPSK(protocol.VersionTLS13) || c.hasPSK(protocol.VersionTLS12))
}

// servesPSK reports whether a client would take version v: with a key for it, or
// without any if it takes certificates.
func (c *Config) servesPSK(v protocol.Version) bool { return !c.needsPSK() || c.hasPSK(v) }

// offering is the Config that a client goes by. Without a key for 1.3, if it needs
// one, it doesn't offer 1.3, which would keep it from the key that it has. 1.2 stays
// on offer in the same case, as the stacks in use have it: a server that has
// nothing else then learns from protocol_version what is wrong.
func (c *Config) offering() *Config {
	if c.servesPSK(protocol.VersionTLS13) || !c.Enabled(protocol.VersionTLS12) {
		return c
	}
	narrowed := *c
	narrowed.MaxVersion = uint16(protocol.VersionTLS12)
	return &narrowed
}

// offeredSuites are the suites of the generation of v that a client offers: PSK
// suites if it has a key; others if that doesn't rule them out.
func (c *Config) offeredSuites(v protocol.Version) iter.Seq[*suite.Suite] {
	key := c.hasPSK(v)
	return func(yield func(*suite.Suite) bool) {
		for s := range c.suites(v) {
			offered := s.Auth == suite.AnyAuth || s.Auth == suite.PSK && key || s.Auth != suite.PSK && !(key && c.needsPSK())
			if offered && !yield(s) {
				return
			}
		}
	}
}

// stillKnows reports whether the key that a session came from would be good now
// too: who takes a key back, ends its sessions.
func (c *Config) stillKnows(role Role, s *session.State, state ConnectionState) (bool, error) {
	switch {
	case c.pskFor(s.Version, s.PSKIdentity) != nil:
		return true, nil
	case role == Client: // which forgets its sessions as it likes
		return !s.Version.Is13() && c.GetClientPSK != nil, nil
	}
	known, err := c.askPSK(s.PSKIdentity, state, s.Version)
	return known != nil, err
}

// askPSK asks the application for the key that a client names. It returns nil if
// there is none for this version.
func (c *Config) askPSK(identity []byte, state ConnectionState, v protocol.Version) (*Credential, error) {
	if c.GetPSK == nil {
		return nil, nil
	}
	p, err := c.GetPSK(identity, state)
	if err != nil || p == nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, alert.Localf(alert.InternalError, "GetPSK: %w", err)
	}
	if !p.serves(v) {
		return nil, nil
	}
	return &Credential{PSK: p}, nil
}
