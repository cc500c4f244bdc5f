package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// verify judges the peer as the test wants. BoringSSL's callbacks don't run for
// a peer without a certificate, nor by default for one that is known from a
// session.
func (c *connection) verify(state dtls.ConnectionState) error {
	s := c.settings
	if len(state.PeerCertificates) == 0 || state.DidResume && !s.reverifies {
		return nil
	}
	c.observer.verified = true
	if err := differ("name to verify instead", s.expect.publicName, new("")); err != nil {
		return err
	}
	if want := s.expect.staple; want != nil && !bytes.Equal(state.OCSPResponse, want) {
		return fmt.Errorf("expected the staple %x where the peer is verified, got %x", want, state.OCSPResponse)
	}
	refuses := s.verifyFails && (s.verifyPeer || s.requireCertificate) // else its result has no effect
	switch {
	case refuses && s.verifyCustom:
		return &alert.Error{Alert: alert.CertificateUnknown, Fault: alert.Peer, Err: errRefused}
	case refuses: // the older callback of the two has another alert
		return &alert.Error{Alert: alert.HandshakeFailure, Fault: alert.Peer, Err: errRefused}
	case s.failStaple && !s.server:
		return &alert.Error{Alert: alert.BadCertificateStatusResponse, Fault: alert.Peer, Err: errStatus}
	}
	return nil
}

// verifyRawPublicKey takes the key that a test expects. Unlike verify it always has
// an effect.
func (s *settings) verifyRawPublicKey(info []byte) error {
	if s.verifyFails {
		return errRefused
	}
	if got := sha256.Sum256(info); s.expect.peerKeyHash != nil && !bytes.Equal(got[:], s.expect.peerKeyHash) {
		return fmt.Errorf("expected the raw public key %x, got %x", s.expect.peerKeyHash, got)
	}
	return nil
}

var (
	errRefused = &tls.CertificateVerificationError{Err: errors.New("refused, as the test wants")}
	errStatus  = errors.New("the status callback fails, as the test wants")
)

// md5SHA1 is BoringSSL's number for how RSA signed before 1.2. It never goes over
// a wire.
const md5SHA1 tls.SignatureScheme = 0xff01

func appendPeerScheme(s *settings, v string) error {
	var id tls.SignatureScheme
	err := scan(v, &id)
	if id != md5SHA1 {
		s.peerSchemes = append(s.peerSchemes, id)
	}
	return err
}

// boringGroups are what BoringSSL's server prefers by default, and insists on.
var boringGroups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// boringSchemes are what BoringSSL verifies by default.
var boringSchemes = []tls.SignatureScheme{
	tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.PKCS1WithSHA256,
	tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA384, tls.PKCS1WithSHA384,
	tls.PSSWithSHA512, tls.PKCS1WithSHA512, tls.PKCS1WithSHA1,
}

// supplyStaple is a server's status callback.
func (s *settings) supplyStaple(_ *tls.ClientHelloInfo, certificate *tls.Certificate) ([]byte, error) {
	switch {
	case s.failStaple:
		return nil, errStatus
	case s.declineStaple:
		return nil, nil
	case s.stapleInCallback:
		return s.fallbackCredential.staple, nil
	}
	return certificate.OCSPStaple, nil
}

// setTimestamps reads a SignedCertificateTimestampList (RFC 6962 3.3).
func setTimestamps(s *settings, v string) error {
	list, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return err
	}
	if s.credential().timestamps, err = message.ParseSCTs(list); err != nil {
		return fmt.Errorf("%w: %w", errTimestamps, err)
	}
	return nil
}

var errTimestamps = errors.New("not a list of timestamps")

// checkStaples holds what came with the peer's certificate against what a test
// expects.
func (e *expectations) checkStaples(c *connection, state dtls.ConnectionState) error {
	if e.staple != nil && !bytes.Equal(state.OCSPResponse, e.staple) {
		return fmt.Errorf("expected the staple %x, got %x", e.staple, state.OCSPResponse)
	}
	if e.timestamps != nil {
		var b wire.Builder
		message.AppendSCTs(&b, state.SignedCertificateTimestamps)
		if got, err := b.Bytes(); err != nil || !bytes.Equal(got, e.timestamps) {
			return fmt.Errorf("expected the timestamps %x, got %x", e.timestamps, got)
		}
	}
	if e.verifyResult && len(state.PeerCertificates) > 0 && !c.observer.verified && !state.DidResume {
		return errors.New("the peer is not verified, in this connection or in the session's first")
	}
	return nil
}
