// Package elliptic names the key exchange groups for WithEllipticCurves.
package elliptic

import "crypto/tls"

// A Curve is a key exchange group, as IANA numbers them.
type Curve uint16

// The groups. Those with ML-KEM, and P-521, are more than Pion names: a program
// that chooses its groups has to name one of them to stay post-quantum.
const (
	P256   Curve = Curve(tls.CurveP256)
	P384   Curve = Curve(tls.CurveP384)
	P521   Curve = Curve(tls.CurveP521)
	X25519 Curve = Curve(tls.X25519)

	X25519MLKEM768     Curve = Curve(tls.X25519MLKEM768)
	SecP256r1MLKEM768  Curve = Curve(tls.SecP256r1MLKEM768)
	SecP384r1MLKEM1024 Curve = Curve(tls.SecP384r1MLKEM1024)
)

// String is the group's name.
func (c Curve) String() string { return tls.CurveID(c).String() }

// Curves are all groups that can be named.
func Curves() map[Curve]bool {
	return map[Curve]bool{
		P256: true, P384: true, P521: true, X25519: true,
		X25519MLKEM768: true, SecP256r1MLKEM768: true, SecP384r1MLKEM1024: true,
	}
}
