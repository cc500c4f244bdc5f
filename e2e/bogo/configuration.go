package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// configuration is the Config that the flags ask for.
func (s *settings) configuration(c *connection) (*dtls.Config, error) {
	config := &dtls.Config{
		CipherSuites:            s.suites,
		CurvePreferences:        s.groups,
		EqualCurves:             s.equalGroups(),
		KeyShares:               s.keyShares,
		ServerGroupsHint:        s.serverGroups,
		MinVersion:              s.minVersion,
		MaxVersion:              s.maxVersion,
		ServerName:              s.hostName,
		SendFallbackSCSV:        s.fallsBack,
		MaxSendFragment:         s.maxFragment,
		IgnoreServerName:        s.ignoreName,
		NextProtos:              s.protocols,
		AllowUnknownProtocol:    s.allowUnknownProtocol,
		SRTPProfiles:            s.srtpProfiles,
		PeerSignatureSchemes:    s.peerSchemes,
		InsecureAllowSHA1:       true, // BoringSSL's defaults have it
		InsecureSkipVerify:      true, // the callback verifies
		InsecureAllowMissingEMS: true,
		DisableKeyUpdate:        true,
		PeerCertificateTypes:    s.peerTypes,
		LocalCertificateTypes:   s.certificateTypes,
		VerifyRawPublicKey:      s.verifyRawPublicKey,
		CertificateCompression:  s.compressors,
		MaxCertificateList:      s.maxCertificateList,
		GREASE:                  s.grease || s.server, // BoringSSL's option is the client's
		MTU:                     s.mtu,
		InitialTimeout:          s.initialTimeout,
		GetConfigForClient:      c.observer.greeted,
		VerifyConnection:        c.verify,
		RequestOCSPStaple:       s.requestStaple && !s.server, // BoringSSL's option is the client's
		RequestSCTs:             s.requestTimestamps && !s.server,
		GetClientCredential:     c.observer.asked,
		CertificateAuthorities:  s.authorities,
		Trace:                   c.observer.traced,
		KeyLogWriter:            c.observer,
	}
	config.RequireSecureRenegotiation = s.secureRenegotiation
	if s.peerSchemes == nil {
		config.PeerSignatureSchemes = boringSchemes
	}
	if s.groups == nil && s.server {
		config.CurvePreferences = boringGroups
	}
	s.bound(config)
	c.sessions.configure(config)
	c.configureECH(config)
	if s.requireCertificate {
		config.ClientAuth = tls.RequireAnyClientCert
	} else if s.verifyPeer && s.server {
		config.ClientAuth = tls.RequestClientCert
	}
	if s.useStapleCallback {
		config.GetOCSPStaple = s.supplyStaple
	}
	if s.failCertificate && s.server {
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errCertificateCallback }
		return config, nil
	}
	var err error
	config.Credentials, err = s.loadCredentials(c)
	s.configurePSK(config)
	return config, err
}

// equalGroups are the groups of which a flag says that they are as good as the
// next.
func (s *settings) equalGroups() (sets [][]tls.CurveID) {
	for i, flag := range s.groupFlags {
		if flag == 0 || i+1 >= len(s.groups) {
			continue
		}
		if last := len(sets) - 1; last >= 0 && slices.Contains(sets[last], s.groups[i]) {
			sets[last] = append(sets[last], s.groups[i+1])
		} else {
			sets = append(sets, []tls.CurveID{s.groups[i], s.groups[i+1]})
		}
	}
	return sets
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

var errCertificateCallback = errors.New("the certificate callback fails, as the test wants")

// asked is called when a client's certificate is to be chosen. It leaves the
// choice to the library.
func (o *observer) asked(info *dtls.CertificateRequestInfo) (*dtls.Credential, error) {
	o.offeredSchemes, o.offeredTypes, o.offeredAuthorities = info.SignatureSchemes, info.CertificateTypes, info.AcceptableCAs
	if o.settings.failCertificate {
		return nil, errCertificateCallback
	}
	return nil, nil
}

var errHello = errors.New("the ClientHello callback fails, as the test wants")

// greeted is called with every ClientHello. BoringSSL has another callback that
// comes once it is known whether a session is resumed; they differ in the alert
// of their failure.
func (o *observer) greeted(info *tls.ClientHelloInfo) (*dtls.Config, error) {
	o.offeredProtocols = info.SupportedProtos
	o.offeredSchemes = slices.Clone(info.SignatureSchemes)
	s := o.settings
	if want := s.expect.serverName; want != nil && *want != info.ServerName {
		return nil, fmt.Errorf("expected the server name %q in the callback, got %q", *want, info.ServerName)
	}
	switch {
	case s.failHello:
		return nil, &alert.Error{Alert: alert.HandshakeFailure, Fault: alert.Local, Err: errHello}
	case s.failLateHello:
		return nil, errHello
	case s.selectEmptyProtocol:
		return &dtls.Config{NextProtos: []string{""}}, nil
	case s.rejectProtocols:
		return nil, alert.Peerf(alert.NoApplicationProtocol, "%w: refused, as the test wants", alert.NoCommonProtocol)
	}
	return nil, nil
}
