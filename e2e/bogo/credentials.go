package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/godwit-dtls/godwit/dtls"
)

// A credential is a certificate with its key, or a key alone, as the flags name
// them: the private half of one to show, or a pre-shared one.
type credential struct {
	raw bool              // a raw public key
	psk *dtls.ExternalPSK // a pre-shared key

	chainFile   string // PEM, leaf first
	keyFile     string // PEM, PKCS #8
	schemes     []tls.SignatureScheme
	matchIssuer bool
	delegated   []byte // what the chain's key has signed for the key in keyFile

	staple     []byte
	timestamps [][]byte
}

// credential is the one that flags are about now.
func (s *settings) credential() *credential {
	if n := len(s.credentials); n > 0 {
		return s.credentials[n-1]
	}
	return &s.fallbackCredential
}

// loadCredentials loads the credentials in order of preference, the one without
// a number last.
func (s *settings) loadCredentials(c *connection) ([]dtls.Credential, error) {
	all := s.credentials
	if s.fallbackCredential.chainFile != "" {
		all = append(all[:len(all):len(all)], &s.fallbackCredential)
	}
	var loaded []dtls.Credential
	for _, credential := range all {
		l, err := credential.load(c)
		if err != nil {
			return nil, err
		}
		loaded = append(loaded, l)
	}
	return loaded, nil
}

func (c *credential) load(conn *connection) (dtls.Credential, error) {
	switch {
	case c.raw:
		return c.loadRaw()
	case c.delegated != nil:
		return c.loadDelegated()
	case c.psk != nil:
		return dtls.Credential{PSK: c.psk}, nil
	}
	certificate, err := tls.LoadX509KeyPair(c.chainFile, c.keyFile)
	if err != nil {
		return dtls.Credential{}, fmt.Errorf("a credential that crypto/tls can't load: %w: %w", err, errUnimplemented)
	}
	if conn.settings.privateKeyDelay > 0 {
		certificate.PrivateKey = &signer{certificate.PrivateKey.(crypto.Signer), conn}
	}
	if certificate.SignedCertificateTimestamps = c.timestamps; !conn.settings.stapleInCallback {
		certificate.OCSPStaple = c.staple
	}
	return dtls.Credential{Certificate: &certificate, SignatureSchemes: c.schemes, MustMatchIssuer: c.matchIssuer}, nil
}

func (c *credential) loadRaw() (dtls.Credential, error) {
	key, err := loadKey(c.keyFile)
	return dtls.Credential{RawPublicKey: key, SignatureSchemes: c.schemes}, err
}

func (c *credential) loadDelegated() (dtls.Credential, error) {
	key, err := loadKey(c.keyFile)
	if err != nil {
		return dtls.Credential{}, err
	}
	chain, err := loadPEM(c.chainFile)
	return dtls.Credential{
		Certificate:     &tls.Certificate{Certificate: chain},
		Delegated:       &dtls.DelegatedCredential{Raw: c.delegated, PrivateKey: key},
		MustMatchIssuer: c.matchIssuer,
	}, err
}

// fallbackIndex is the number of the credential that has none, and of none at all.
const fallbackIndex = -1

// selectedCredential is the number of the credential that a connection used.
func (c *connection) selectedCredential() int {
	used := c.State().LocalCredential
	for i := range c.config.Credentials {
		if &c.config.Credentials[i] == used && i < len(c.settings.credentials) {
			return i
		}
	}
	return fallbackIndex
}

// A signer is a private key that takes its time.
type signer struct {
	crypto.Signer
	connection *connection
}

func (s *signer) Sign(rand io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	s.connection.wait(s.connection.settings.privateKeyDelay)
	return s.Signer.Sign(rand, digest, options)
}

// loadKey reads a private key.
func loadKey(file string) (crypto.Signer, error) {
	contents, err := loadPEM(file)
	if err != nil || len(contents) == 0 {
		return nil, fmt.Errorf("no key in %s: %w", file, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(contents[0])
	if err != nil {
		return nil, err
	}
	return key.(crypto.Signer), nil
}

// loadPEM reads the DER contents of a PEM file.
func loadPEM(file string) (contents [][]byte, err error) {
	rest, err := os.ReadFile(file)
	for err == nil {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return contents, nil
		}
		contents = append(contents, block.Bytes)
	}
	return nil, err
}
