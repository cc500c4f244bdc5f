package suite

import (
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/tls"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// MLKEM1024 is ML-KEM without a curve beside it (draft-ietf-tls-mlkem).
const MLKEM1024 tls.CurveID = 0x0202

// A Group is a key exchange: Diffie-Hellman on a curve, ML-KEM, or both
// together. It is never modified.
//
// A share of a curve is a public key: 32 bytes for X25519, else an uncompressed
// point of 65, 97 or 133 bytes (RFC 9846 4.3.8.2). A share of ML-KEM is, from the
// client, an encapsulation key; from the server, a ciphertext. Where there are
// both, shares and secrets are concatenated in the same order.
type Group struct {
	ID          tls.CurveID
	Name        string // IANA's
	PostQuantum bool   // with ML-KEM, which needs a 1.3 key_share: not for 1.2
	ByName      bool   // used only where its name is asked for

	curve      ecdh.Curve // nil: ML-KEM alone
	publicLen  int        // bytes of a public key on curve
	kem        *kem       // nil unless PostQuantum
	curveFirst bool       // the curve's part comes first
}

// A kem is a parameter set of ML-KEM.
type kem struct {
	keyLen        int // bytes of an encapsulation key
	ciphertextLen int // bytes
	generate      func() (crypto.Decapsulator, error)
	parse         func([]byte) (crypto.Encapsulator, error)
}

var (
	mlkem768 = &kem{
		mlkem.EncapsulationKeySize768, mlkem.CiphertextSize768,
		func() (crypto.Decapsulator, error) { return mlkem.GenerateKey768() },
		func(b []byte) (crypto.Encapsulator, error) { return mlkem.NewEncapsulationKey768(b) },
	}
	mlkem1024 = &kem{
		mlkem.EncapsulationKeySize1024, mlkem.CiphertextSize1024,
		func() (crypto.Decapsulator, error) { return mlkem.GenerateKey1024() },
		func(b []byte) (crypto.Encapsulator, error) { return mlkem.NewEncapsulationKey1024(b) },
	}
)

// Groups lists all groups in the default order of preference.
//
// RFC 9846 9.1 [3], B.3.1.4 [1]
var Groups = []*Group{
	{tls.X25519MLKEM768, "X25519MLKEM768", true, false, ecdh.X25519(), 32, mlkem768, false},
	{tls.X25519, "x25519", false, false, ecdh.X25519(), 32, nil, false},
	{tls.CurveP256, "secp256r1", false, false, ecdh.P256(), 65, nil, false},
	{tls.CurveP384, "secp384r1", false, false, ecdh.P384(), 97, nil, false},
	{tls.CurveP521, "secp521r1", false, false, ecdh.P521(), 133, nil, false},
	{tls.SecP256r1MLKEM768, "SecP256r1MLKEM768", true, false, ecdh.P256(), 65, mlkem768, true},
	{tls.SecP384r1MLKEM1024, "SecP384r1MLKEM1024", true, false, ecdh.P384(), 97, mlkem1024, true},
	{MLKEM1024, "MLKEM1024", true, true, nil, 0, mlkem1024, false},
}

// GroupByID returns the group with this number, or nil.
func GroupByID(id tls.CurveID) *Group {
	for _, g := range Groups {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// GroupByName returns the group with this IANA name, or nil.
func GroupByName(name string) *Group {
	for _, g := range Groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// A PrivateKey is the secret behind a share: the client's in 1.3, either
// side's in 1.2.
type PrivateKey struct {
	group *Group
	curve *ecdh.PrivateKey    // nil if the group has none
	kem   crypto.Decapsulator // nil unless the group is PostQuantum
}

// Generate makes a key for each of the groups, in their order. Groups of one
// curve share its key, as browsers do with X25519MLKEM768 and X25519: the hello
// gets two shares for little more than the price of one.
//
// RFC 9846 4.3.8 [3, 6]
func Generate(ids ...tls.CurveID) ([]*PrivateKey, error) {
	keys := make([]*PrivateKey, 0, len(ids))
	curves := make(map[ecdh.Curve]*ecdh.PrivateKey, len(ids))
	for _, id := range ids {
		g := GroupByID(id)
		if g == nil {
			return nil, alert.Localf(alert.InternalError, "expected a known group, got %v", id)
		}
		if curves[g.curve] == nil {
			key, err := g.generate()
			if err != nil {
				return nil, err
			}
			curves[g.curve] = key
		}
		k := &PrivateKey{group: g, curve: curves[g.curve]}
		if g.PostQuantum {
			var err error
			if k.kem, err = g.kem.generate(); err != nil {
				return nil, alert.Localf(alert.InternalError, "%s: generating a key: %w", g.Name, err)
			}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// Group is the group of the key.
func (k *PrivateKey) Group() *Group { return k.group }

// Public is the share that goes to the peer.
func (k *PrivateKey) Public() []byte {
	public := publicOf(k.curve)
	if !k.group.PostQuantum {
		return public
	}
	return k.group.join(public, k.kem.Encapsulator().Bytes())
}

// Shared is the secret agreed on with the peer that answered with this share.
// A share that is malformed or gives no secret is an illegal_parameter of the
// peer.
func (k *PrivateKey) Shared(peer []byte) ([]byte, error) {
	g := k.group
	if !g.PostQuantum {
		return g.agree(k.curve, peer)
	}
	public, ciphertext, err := g.split(peer, g.kem.ciphertextLen)
	if err != nil {
		return nil, err
	}
	fromCurve, err := g.agree(k.curve, public)
	if err != nil {
		return nil, err
	}
	fromKEM, err := k.kem.Decapsulate(ciphertext)
	if err != nil {
		return nil, g.refuse(err)
	}
	return g.join(fromCurve, fromKEM), nil
}

// Respond is the server's side of 1.3: it answers a client's share with one of
// its own, and with the secret that both agree on. Errors are those of
// [PrivateKey.Shared].
//
// RFC 9846 4.3.8 [7]
func (g *Group) Respond(clientShare []byte) (share, secret []byte, err error) {
	if !g.PostQuantum {
		return g.respond(clientShare)
	}
	clientPublic, clientKEM, err := g.split(clientShare, g.kem.keyLen)
	if err != nil {
		return nil, nil, err
	}
	encapsulator, err := g.kem.parse(clientKEM) // checks the modulus: FIPS 203 7.2
	if err != nil {
		return nil, nil, g.refuse(err)
	}
	public, fromCurve, err := g.respond(clientPublic)
	if err != nil {
		return nil, nil, err
	}
	fromKEM, ciphertext := encapsulator.Encapsulate()
	return g.join(public, ciphertext), g.join(fromCurve, fromKEM), nil
}

// respond is Respond of the curve alone.
func (g *Group) respond(peer []byte) (public, secret []byte, err error) {
	key, err := g.generate()
	if err != nil {
		return nil, nil, err
	}
	secret, err = g.agree(key, peer)
	if err != nil {
		return nil, nil, err
	}
	return publicOf(key), secret, nil
}

// Without a curve the key is nil, and its share and secret are empty.

func publicOf(key *ecdh.PrivateKey) []byte {
	if key == nil {
		return nil
	}
	return key.PublicKey().Bytes()
}

// generate makes a key on the curve.
func (g *Group) generate() (*ecdh.PrivateKey, error) {
	if g.curve == nil {
		return nil, nil
	}
	key, err := g.curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, alert.Localf(alert.InternalError, "%s: generating a key: %w", g.Name, err)
	}
	return key, nil
}

// agree is Diffie-Hellman. crypto/ecdh refuses points off the curve, compressed
// or at infinity (RFC 9846 4.3.8.2), and an all-zero secret of X25519
// (RFC 9846 7.4.2).
//
// RFC 9846 4.3.8.2 [1], 7.4.2 [3]
func (g *Group) agree(own *ecdh.PrivateKey, peer []byte) ([]byte, error) {
	if len(peer) != g.publicLen {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: %s: expected a public key of %d bytes, got %d", alert.BadKeyShare, g.Name, g.publicLen, len(peer))
	}
	if g.curve == nil {
		return nil, nil
	}
	public, err := g.curve.NewPublicKey(peer)
	if err != nil {
		return nil, g.refuse(err)
	}
	secret, err := own.ECDH(public)
	if err != nil {
		return nil, g.refuse(err)
	}
	return secret, nil
}

// split cuts a hybrid share into its public key and its ML-KEM part.
func (g *Group) split(share []byte, kemLen int) (public, fromKEM []byte, err error) {
	if len(share) != g.publicLen+kemLen {
		return nil, nil, alert.Peerf(alert.IllegalParameter, "%w: %s: expected a share of %d bytes, got %d", alert.BadKeyShare, g.Name, g.publicLen+kemLen, len(share))
	}
	if g.curveFirst {
		return share[:g.publicLen], share[g.publicLen:], nil
	}
	return share[kemLen:], share[:kemLen], nil
}

// join is the inverse of split, for secrets too.
func (g *Group) join(fromCurve, fromKEM []byte) []byte {
	joined := make([]byte, 0, len(fromCurve)+len(fromKEM))
	if g.curveFirst {
		return append(append(joined, fromCurve...), fromKEM...)
	}
	return append(append(joined, fromKEM...), fromCurve...)
}

// RFC 9846 6 [7]
func (g *Group) refuse(err error) error {
	return alert.Peerf(alert.IllegalParameter, "%w: %s: %w", alert.BadKeyShare, g.Name, err)
}
