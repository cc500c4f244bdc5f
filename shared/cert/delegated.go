package cert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// ServerDelegation is the context in which a server's certificate delegates to
// another key (RFC 9345 4).
const ServerDelegation Context = "TLS, server delegated credentials"

// maxDelegation bounds for how long a delegated key is good, as it can't be
// revoked (RFC 9345 4).
const maxDelegation = 7 * 24 * time.Hour

// delegationUsage marks the certificates that may delegate (RFC 9345 4.2).
var delegationUsage = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 44363, 44}

// ContentDelegated returns what a certificate's key signs to delegate: 64 spaces,
// the context, a zero byte, the certificate in DER, the credential up to its
// signature (RFC 9345 4).
func ContentDelegated(certificate, credential []byte) []byte {
	return append(append(Content13(ServerDelegation, nil), certificate...), credential...)
}

// Delegable reports whether a delegated key may sign with a scheme: not with one
// for keys under the OID rsaEncryption, which are too good for something else
// (RFC 9345 4.1.3), and with none that a certificate's key couldn't use in 1.3.
func Delegable(id tls.SignatureScheme) bool {
	s, known := find(id)
	return known && s.uses&in13 != 0 && s.algorithm != signRSAE
}

// CheckDelegation refuses, with illegal_parameter, a credential that leaf may not
// have given or that is not good at now. It is to end at expires.
func CheckDelegation(leaf *x509.Certificate, expires, now time.Time) error {
	switch {
	case now.After(expires):
		return alert.Peerf(alert.IllegalParameter, "%w: expired at %v", alert.WrongDelegation, expires)
	case expires.Sub(now) > maxDelegation:
		return alert.Peerf(alert.IllegalParameter, "%w: good until %v, more than seven days", alert.WrongDelegation, expires)
	case !MayDelegate(leaf):
		return alert.Peerf(alert.IllegalParameter, "%w: the peer's certificate may not delegate", alert.WrongDelegation)
	}
	return nil
}

// MayDelegate reports whether a certificate says that it may (RFC 9345 4.2).
func MayDelegate(leaf *x509.Certificate) bool {
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return false
	}
	for _, extension := range leaf.Extensions {
		if extension.Id.Equal(delegationUsage) {
			return true
		}
	}
	return false
}
