package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// prepare makes the Config of options complete for a role: it reads and opens
// files, and checks everything. Its errors are usage errors. Call close when
// the Config is not used any more.
func (o *options) prepare(role handshake.Role, con *console) error {
	host, _, err := net.SplitHostPort(o.address)
	if err != nil {
		return usageError{err}
	}
	if o.sni != "" {
		host = o.sni
	}
	if host == "" {
		host = "localhost"
	}
	trust := o.trustClient
	if role == handshake.Client {
		o.config.ServerName = host
		trust = o.trustServer
	}
	// A server of ours is safe from replays: it reads by Read alone, which gives
	// 0-RTT data when the handshake is complete.
	o.config.EarlyData = role == handshake.Server || o.early != nil
	steps := []func() error{
		trust,
		func() error { return o.loadRoots(role) },
		func() error { return o.loadCertificate(role, host, con) },
		o.loadStaple,
		func() error { return o.useRawKeys(role, con) },
		o.choosePathCheck,
		o.openState,
		o.openKeyLog,
		o.openTrace,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			o.close()
			return usageError{err}
		}
	}
	if err := o.config.Validate(role, o.transport); err != nil {
		o.close()
		return usageError{err}
	}
	if o.keyUpdate {
		o.watchKeys()
	}
	return nil
}

// close closes what prepare opened.
func (o *options) close() {
	for _, f := range o.files {
		f.Close()
	}
	o.files = nil
}

// --- Whom to trust

// trustServer decides what a server's certificate must pass: the roots, unless
// -insecure or a -fingerprint alone says otherwise, and the fingerprint.
func (o *options) trustServer() error {
	o.config.InsecureSkipVerify = o.insecure || o.fingerprint != "" && o.caFile == ""
	o.config.PSKOrCertificate = o.insecure || o.fingerprint != "" || o.caFile != ""
	o.config.VerifyConnection = pin(o.fingerprint)
	return nil
}

// trustClient does the same for a client's.
func (o *options) trustClient() error {
	switch {
	case o.clientAuth != nil:
		o.config.ClientAuth = *o.clientAuth
	case o.fingerprint != "" && o.caFile == "":
		o.config.ClientAuth = tls.RequireAnyClientCert
	case o.fingerprint != "":
		o.config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if o.insecure && o.config.ClientAuth == tls.RequireAndVerifyClientCert {
		o.config.ClientAuth = tls.RequireAnyClientCert
	}
	if o.fingerprint != "" && o.config.ClientAuth == tls.NoClientCert {
		return errors.New("-fingerprint needs a client certificate, -client-auth none asks for none")
	}
	o.config.VerifyConnection = pin(o.fingerprint)
	return nil
}

// pin returns a check for the certificate with a fingerprint, nil if there is
// none. Unlike VerifyPeerCertificate it runs for every connection.
func pin(fingerprint string) func(dtls.ConnectionState) error {
	if fingerprint == "" {
		return nil
	}
	return func(s dtls.ConnectionState) error {
		if s.PSKIdentity != nil {
			return nil // the key says it
		}
		der := shown(s)
		if der == nil {
			return alert.Peerf(alert.CertificateRequired, "expected the certificate %s, the peer sent none", fingerprint)
		}
		return dtls.VerifyFingerprint(der, fingerprint)
	}
}

// shown is the peer's certificate or raw public key, in DER; nil if it showed
// neither.
func shown(s dtls.ConnectionState) []byte {
	if len(s.PeerCertificates) > 0 {
		return s.PeerCertificates[0].Raw
	}
	return s.PeerRawPublicKey
}

// loadRoots reads -ca.
func (o *options) loadRoots(role handshake.Role) error {
	if o.caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate in PEM found", o.caFile)
	}
	if role == handshake.Client {
		o.config.RootCAs = roots
	} else {
		o.config.ClientCAs = roots
	}
	return nil
}

// --- Who we are

// loadCertificate reads -cert and -key, or makes a certificate that signs
// itself: a server's at once, unless it has a -psk, a client's when a server asks
// for one.
func (o *options) loadCertificate(role handshake.Role, host string, con *console) error {
	switch {
	case o.certFile != "" && o.keyFile != "":
		c, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		o.config.Certificates = []tls.Certificate{c}
		return err
	case o.certFile != "" || o.keyFile != "":
		return errors.New("-cert and -key go together")
	case role == handshake.Client:
		o.config.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c, err := introduce(con, "client")
			if err != nil || request.SupportsCertificate(c) != nil {
				return new(tls.Certificate), err
			}
			return c, nil
		}
		return nil
	case len(o.config.Credentials) > 0:
		return nil
	}
	c, err := introduce(con, host)
	if err == nil {
		o.config.Certificates = []tls.Certificate{*c}
	}
	return err
}

// loadStaple reads -staple, which goes with -cert.
func (o *options) loadStaple() error {
	if o.stapleFile == "" {
		return nil
	}
	staple, err := os.ReadFile(o.stapleFile)
	if err != nil {
		return err
	}
	if len(o.config.Certificates) == 0 {
		return errors.New("-staple goes with -cert")
	}
	o.config.Certificates[0].OCSPStaple = staple
	return nil
}

// introduce makes a self-signed certificate and tells its fingerprint.
func introduce(con *console, name string) (*tls.Certificate, error) {
	c, err := dtls.SelfSigned(name)
	if err == nil {
		con.err.line("certificate %s", fingerprint(c.Certificate[0]))
	}
	return &c, err
}

// fingerprint is that of a certificate's DER, in the form of -fingerprint.
func fingerprint(der []byte) string { return "sha-256:" + digest(der) }

func digest(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// choosePathCheck turns return routability checks off unless -rrc wants them.
func (o *options) choosePathCheck() error {
	if o.checksPaths && o.config.ConnectionIDs == nil {
		return errors.New("-rrc goes with -cid")
	}
	if !o.checksPaths {
		o.config.PathCheck = dtls.NoPathCheck
	}
	return nil
}

// --- Files to write

func (o *options) openKeyLog() error {
	if o.keyLogFile == "" {
		return nil
	}
	f, err := os.OpenFile(o.keyLogFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) // secrets
	if err == nil {
		o.config.KeyLogWriter = f
		o.files = append(o.files, f)
	}
	return err
}

func (o *options) openTrace() (err error) {
	if o.traceFile != "" {
		o.config.Trace, err = o.createTrace(o.traceFile)
	}
	return err
}
