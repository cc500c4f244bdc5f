package main

import (
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"os"
)

// A credential is a certificate with its key, as the flags name them.
type credential struct {
	chainFile string // PEM, leaf first
	keyFile   string // PEM, PKCS #8
	schemes   []tls.SignatureScheme

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

// certificates loads the credentials in order of preference, the one without a
// number last.
func (s *settings) certificates(c *connection) ([]tls.Certificate, error) {
	var certificates []tls.Certificate
	for i, credential := range s.credentials {
		certificate, err := credential.load(c, i)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	if s.fallbackCredential.chainFile != "" {
		certificate, err := s.fallbackCredential.load(c, fallbackIndex)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// fallbackIndex is the number of the credential that has none.
const fallbackIndex = -1

func (c *credential) load(conn *connection, index int) (tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(c.chainFile, c.keyFile)
	if err != nil {
		return certificate, fmt.Errorf("a credential that crypto/tls can't load: %w: %w", err, errUnimplemented)
	}
	certificate.SupportedSignatureAlgorithms = c.schemes
	if certificate.SignedCertificateTimestamps = c.timestamps; !conn.settings.stapleInCallback {
		certificate.OCSPStaple = c.staple
	}
	certificate.PrivateKey = &signer{certificate.PrivateKey.(crypto.Signer), conn, index}
	return certificate, nil
}

// A signer is a private key that tells which credential has signed, and takes
// its time.
type signer struct {
	crypto.Signer
	connection *connection
	index      int
}

func (s *signer) Sign(rand io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	s.connection.observer.credential = &s.index
	if delay := s.connection.settings.privateKeyDelay; delay > 0 {
		s.connection.wait(delay)
	}
	return s.Signer.Sign(rand, digest, options)
}

// loadChain reads the DER certificates of a PEM file.
func loadChain(file string) (chain [][]byte, err error) {
	rest, err := os.ReadFile(file)
	for err == nil {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain, nil
		}
		chain = append(chain, block.Bytes)
	}
	return nil, err
}
