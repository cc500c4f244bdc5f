package dtls

import (
	"crypto/x509"

	godwit "github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// A verifier is what Pion checks of a peer beside what godwit does by itself.
type verifier struct {
	config *Config

	// rootsAlone checks a server's chain and not its name, which is left to the
	// callbacks.
	rootsAlone bool
	// wantsSRTP refuses a server that chooses no profile, as Pion's client does.
	wantsSRTP bool
}

// certificate is a VerifyPeerCertificate. ClientAuth has said whether there may be
// none.
func (v verifier) certificate(rawCerts [][]byte, chains [][]*x509.Certificate) (err error) {
	if len(rawCerts) == 0 {
		return nil
	}
	if v.rootsAlone {
		if chains, err = v.chains(rawCerts); err != nil {
			return err
		}
	}
	if v.config.VerifyPeerCertificate == nil {
		return nil
	}
	return v.config.VerifyPeerCertificate(rawCerts, chains)
}

// chains leads a server's certificate to the roots, whatever its name.
func (v verifier) chains(rawCerts [][]byte) ([][]*x509.Certificate, error) {
	options := x509.VerifyOptions{Roots: v.config.RootCAs, Intermediates: x509.NewCertPool()}
	var leaf *x509.Certificate
	for i, der := range rawCerts {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			leaf = c
		default:
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, alert.Peerf(alert.UnknownCA, "%w", err)
	}
	return chains, nil
}

// connection is a VerifyConnection. Of a session that is resumed the certificates are
// those of its first handshake, which may have had another Config.
func (v verifier) connection(state godwit.ConnectionState) error {
	said := newState(state, nil)
	if state.DidResume {
		if err := v.certificate(said.PeerCertificates, state.VerifiedChains); err != nil {
			return err
		}
	}
	if v.wantsSRTP && state.SRTPProfile == 0 {
		return alert.Peerf(alert.InsufficientSecurity, "the server chose none of the SRTP profiles on offer")
	}
	if v.config.VerifyConnection == nil {
		return nil
	}
	return v.config.VerifyConnection(said)
}
