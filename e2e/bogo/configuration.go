package main

import (
	"crypto/tls"
	"errors"
	"slices"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// configuration is the Config that the flags ask for.
func (s *settings) configuration(c *connection) (*dtls.Config, error) {
	config := &dtls.Config{
		CipherSuites:            s.suites,
		CurvePreferences:        s.groups,
		MinVersion:              s.minVersion,
		MaxVersion:              s.maxVersion,
		ServerName:              s.hostName,
		NextProtos:              s.protocols,
		InsecureSkipVerify:      true, // the callback verifies
		InsecureAllowMissingEMS: true,
		DisableKeyUpdate:        true,
		MTU:                     s.mtu,
		InitialTimeout:          s.initialTimeout,
		GetConfigForClient:      c.observer.greeted,
		VerifyConnection:        c.verify,
		RequestOCSPStaple:       s.requestStaple && !s.server, // BoringSSL's option is the client's
		RequestSCTs:             s.requestTimestamps && !s.server,
		Trace:                   c.observer.traced,
		KeyLogWriter:            c.observer,
	}
	s.bound(config)
	c.sessions.configure(config)
	if s.requireCertificate {
		config.ClientAuth = tls.RequireAnyClientCert
	} else if s.verifyPeer && s.server {
		config.ClientAuth = tls.RequestClientCert
	}
	if s.useStapleCallback {
		config.GetOCSPStaple = s.supplyStaple
	}
	certificates, err := s.certificates(c)
	config.Certificates = certificates
	s.choose(c, config)
	return config, err
}

// bound translates what versions are left.
func (s *settings) bound(config *dtls.Config) {
	if config.MinVersion != 0 && older(config.MinVersion) {
		config.MinVersion = 0 // the lowest that there is
	}
	if s.noTLS12 && config.MinVersion == 0 {
		config.MinVersion = dtls.VersionDTLS13
	}
	if s.noTLS13 && config.MaxVersion == 0 {
		config.MaxVersion = dtls.VersionDTLS12
	}
}

// older reports whether a version is one of those before 1.2.
func older(v uint16) bool { return v < tls.VersionTLS12 || v == 0xfeff }

// choose lets a callback choose the certificate where a test asks for that.
func (s *settings) choose(c *connection, config *dtls.Config) {
	switch {
	case s.failCertificate && s.server:
		config.Certificates = nil
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errCertificateCallback }
	case !s.server:
		if s.failCertificate || s.chooseByCallback || len(s.expect.offeredSchemes) > 0 {
			config.GetClientCertificate = s.chooseClientCertificate(c, config.Certificates)
		}
	}
}

var errCertificateCallback = errors.New("the certificate callback fails, as the test wants")

func (s *settings) chooseClientCertificate(c *connection, ours []tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c.observer.offeredSchemes = info.SignatureSchemes
		if s.failCertificate {
			return nil, errCertificateCallback
		}
		for i := range ours {
			if info.SupportsCertificate(&ours[i]) == nil {
				return &ours[i], nil
			}
		}
		return &tls.Certificate{}, nil
	}
}

// errHelloCallback ends the handshake as the test wants it.
var errHelloCallback = &alert.Error{Alert: alert.HandshakeFailure, Fault: alert.Local, Err: errHello}

var errHello = errors.New("the ClientHello callback fails, as the test wants")

// greeted is called with every ClientHello.
func (o *observer) greeted(info *tls.ClientHelloInfo) (*dtls.Config, error) {
	o.offeredProtocols = info.SupportedProtos
	o.offeredSchemes = slices.Clone(info.SignatureSchemes)
	if o.settings.failHello {
		return nil, errHelloCallback
	}
	return nil, nil
}
