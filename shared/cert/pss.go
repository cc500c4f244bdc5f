package cert

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// A PSSPublicKey is an RSA key under the OID RSASSA-PSS, which signs with the
// rsa_pss_pss schemes and no other. crypto/x509 leaves Certificate.PublicKey nil
// for it, loads no such private key and checks no certificate signed by one: it
// serves in a peer's leaf alone.
type PSSPublicKey struct {
	RSA  *rsa.PublicKey
	Hash crypto.Hash // the only one that the key allows; 0 for any
}

var (
	oidRSASSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

	pssHashes = []struct {
		oid  asn1.ObjectIdentifier
		hash crypto.Hash
	}{
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
	}
)

// parsePSSPublicKey reads a SubjectPublicKeyInfo (RFC 5280 4.1, RFC 4055 1.2):
//
//	SEQUENCE { SEQUENCE { id-RSASSA-PSS, parameters OPTIONAL }, BIT STRING { RSAPublicKey } }
func parsePSSPublicKey(info cryptobyte.String) (*PSSPublicKey, bool) {
	var fields, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	var bits []byte
	if !info.ReadASN1(&fields, der.SEQUENCE) || !info.Empty() ||
		!fields.ReadASN1(&algorithm, der.SEQUENCE) ||
		!fields.ReadASN1BitStringAsBytes(&bits) || !fields.Empty() ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidRSASSAPSS) {
		return nil, false
	}
	key, err := x509.ParsePKCS1PublicKey(bits)
	if err != nil {
		return nil, false
	}
	if algorithm.Empty() {
		return &PSSPublicKey{RSA: key}, true
	}
	hash, ok := parsePSSParameters(algorithm)
	return &PSSPublicKey{RSA: key, Hash: hash}, ok
}

// parsePSSParameters reads the hash of RSASSA-PSS-params (RFC 4055 3.1). The mask
// function and the length of the salt, which follow, are fixed by the scheme.
//
//	SEQUENCE { [0] SEQUENCE { hash OID, NULL }, ... }
func parsePSSParameters(input cryptobyte.String) (crypto.Hash, bool) {
	var parameters, explicit, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !input.ReadASN1(&parameters, der.SEQUENCE) || !input.Empty() ||
		!parameters.ReadASN1(&explicit, der.Tag(0).ContextSpecific().Constructed()) ||
		!explicit.ReadASN1(&algorithm, der.SEQUENCE) || !explicit.Empty() ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) {
		return 0, false
	}
	for _, row := range pssHashes {
		if oid.Equal(row.oid) {
			return row.hash, true
		}
	}
	return 0, false
}
