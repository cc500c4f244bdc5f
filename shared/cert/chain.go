package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// maxRSABits bounds the work of one signature check. A chain of huge keys is a
// denial of service otherwise (CVE-2023-29409); the bound is crypto/tls's.
const maxRSABits = 8192

// Expansion is how many times as large as its DER a certificate is at most, once it is
// parsed: with a list of key usages of three bytes each.
const Expansion = 20

// maxURIs is how many URIs the certificates of a chain may have as names. Each becomes a
// url.URL, which is 75 times as large as the shortest.
const maxURIs = 64

// Parse parses the certificates of a Certificate message, leaf first, one DER
// encoding each. Certificates that were parsed
// before, and that somebody still holds, are the same again. A key with the OID RSASSA-PSS becomes a *PSSPublicKey. Errors
// are decode_error, and bad_certificate for an RSA key over 8192 bits or more than 64 URIs.
//
// RFC 9846 4.5.1.2 [1], C.2 [1]
func Parse(raw [][]byte) ([]*x509.Certificate, error) {
	chain, uris := make([]*x509.Certificate, len(raw)), 0
	for i, der := range raw {
		c, err := known.parse(der)
		if err != nil {
			return nil, alert.Peerf(alert.DecodeError, "%w: number %d of the peer: %w", alert.MalformedCertificate, i, err)
		}
		if bits := rsaBits(c.PublicKey); bits > maxRSABits {
			return nil, alert.Peerf(alert.BadCertificate, "expected RSA keys of up to %d bits, certificate %d of the peer has %d", maxRSABits, i, bits)
		}
		if uris += len(c.URIs); uris > maxURIs {
			return nil, alert.Peerf(alert.BadCertificate, "the certificates of the peer have more than %d URIs", maxURIs)
		}
		chain[i] = c
	}
	return chain, nil
}

func rsaBits(public crypto.PublicKey) int {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen()
	case *PSSPublicKey:
		return key.RSA.N.BitLen()
	}
	return 0
}

// VerifyServer verifies a server's chain, leaf first, for name (a host name or
// an IP address) at the time now. Nil roots are the system's. It returns the
// chains from the leaf to a root.
//
// An error wraps a *tls.CertificateVerificationError and in it crypto/x509's, and
// carries unknown_ca, certificate_expired (or not valid yet), unsupported_certificate
// (not for servers, or a key of no known Kind) or bad_certificate (another name,
// and all else). An empty name is a local internal_error: it would fit every server.
func VerifyServer(chain []*x509.Certificate, roots *x509.CertPool, name string, now time.Time) ([][]*x509.Certificate, error) {
	if name == "" {
		return nil, alert.Localf(alert.InternalError, "no server name to verify the certificate for")
	}
	return verify(chain, x509.VerifyOptions{
		Roots:       roots,
		DNSName:     name,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// VerifyClient is VerifyServer for a client's chain, which has no name to check.
func VerifyClient(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) ([][]*x509.Certificate, error) {
	return verify(chain, x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// RFC 9846 4.5.1 [11], E [3]
func verify(chain []*x509.Certificate, options x509.VerifyOptions) ([][]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, alert.Peerf(alert.DecodeError, "expected a certificate, the peer sent none") // RFC 9846 4.4.2.4
	}
	leaf := chain[0]
	if KindOf(leaf.PublicKey) == Unsupported {
		return nil, unsupportedKey(leaf.PublicKey)
	}
	options.Intermediates = x509.NewCertPool()
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		description, fault := classify(err, chain)
		return nil, &alert.Error{
			Alert: description,
			Fault: fault,
			Err:   &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err},
		}
	}
	return chains, nil
}

// classify finds the alert for what crypto/x509 found in a chain (RFC 9846 6.2).
//
// RFC 9846 4.5.1.2 [10], 6.2 [6]
func classify(err error, chain []*x509.Certificate) (alert.Alert, alert.Fault) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if slices.ContainsFunc(chain, overBrokenHash) {
			return alert.BadCertificate, alert.Peer
		}
		return alert.UnknownCA, alert.Peer
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return alert.UnknownCA, alert.Local
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return alert.CertificateExpired, alert.Peer
		case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
			return alert.UnsupportedCertificate, alert.Peer
		}
	}
	return alert.BadCertificate, alert.Peer
}

// overBrokenHash reports whether a certificate's signature is over MD5 or SHA-1, which
// crypto/x509 takes for the want of an issuer, and RFC 9846 4.5.1.3 for a bad
// certificate. Nobody looks at that of a root.
//
// RFC 9846 4.5.1.3 [2, 3]
func overBrokenHash(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return !bytes.Equal(c.RawIssuer, c.RawSubject)
	}
	return false
}

func unsupportedKey(public crypto.PublicKey) error {
	return alert.Peerf(alert.UnsupportedCertificate, "expected an ECDSA (P-256, P-384, P-521), Ed25519 or RSA key, the peer has a %s", describe(public))
}

var keyUsage = asn1.ObjectIdentifier{2, 5, 29, 15} // RFC 5280 4.2.1.3

// CheckKeyUsage refuses, with bad_certificate, a leaf whose KeyUsage extension
// lacks what is needed: digitalSignature (RFC 9846 4.5.1.2), or keyEncipherment
// for key transport (RFC 5246 7.4.2). It holds for pinned certificates, too, so it
// is not a part of VerifyServer and VerifyClient.
//
// RFC 9846 4.5.1.2 [3]
func CheckKeyUsage(leaf *x509.Certificate, needed x509.KeyUsage) error {
	if leaf.KeyUsage&needed != 0 {
		return nil
	}
	for _, extension := range leaf.Extensions {
		if extension.Id.Equal(keyUsage) {
			return alert.Peerf(alert.BadCertificate, "%w: expected %09b, it allows only %09b", alert.WrongKeyUsage, needed, leaf.KeyUsage)
		}
	}
	return nil
}
