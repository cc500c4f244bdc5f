package main

import (
	"crypto"
	"errors"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// useRawKeys shows the public key in our certificate instead of it, and takes the
// same of the peer (RFC 7250). There are no roots and no names then: only
// -fingerprint tells one key from another.
func (o *options) useRawKeys(role handshake.Role, con *console) error {
	if !o.rawKeys {
		return nil
	}
	switch asks := role == handshake.Client || o.clientAuth != nil; {
	case o.caFile != "":
		return errors.New("-ca says nothing of raw public keys, only -fingerprint does")
	case asks && o.fingerprint == "" && !o.insecure:
		return errors.New("-rpk needs the -fingerprint of the peer's key, or -insecure")
	}
	o.config.PeerCertificateTypes = []dtls.CertificateType{dtls.RawPublicKey}
	o.config.VerifyRawPublicKey = o.verifyRawKey
	o.config.GetClientCertificate = nil
	for _, c := range o.config.Certificates {
		key := c.PrivateKey.(crypto.Signer)
		info, err := cert.RawPublicKey(key.Public())
		if err != nil {
			return err
		}
		con.err.line("raw public key %s", fingerprint(info))
		o.config.Credentials = append(o.config.Credentials, dtls.Credential{RawPublicKey: key})
	}
	o.config.Certificates = nil
	return nil
}

// verifyRawKey takes any key with -insecure, unless -fingerprint is given.
func (o *options) verifyRawKey(info []byte) error {
	if o.fingerprint == "" {
		return nil
	}
	return dtls.VerifyFingerprint(info, o.fingerprint)
}
