package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/godwit-dtls/godwit/dtls"
)

// configureECH is Encrypted Client Hello (RFC 9849).
func (c *connection) configureECH(config *dtls.Config) {
	s := c.settings
	config.EncryptedClientHelloConfigList = s.echConfigs
	if s.echMustBeUsable && s.echConfigs == nil {
		config.EncryptedClientHelloConfigList = []byte{} // wanted, and none is there
	}
	config.InsecureAllowMissingECH = !s.echMustBeUsable
	config.EncryptedClientHelloGREASE = s.echGrease
	config.EncryptedClientHelloKeys = s.echKeys
	config.EncryptedClientHelloRejectionVerify = c.verifyRejecting
}

// verifyRejecting judges a server that speaks for the public name alone.
func (c *connection) verifyRejecting(state dtls.ConnectionState) error {
	c.observer.verified = true
	return differ("name to verify instead", c.settings.expect.publicName, &state.ServerName)
}

// checkECH is for a handshake that is complete.
func (e *expectations) checkECH(state dtls.ConnectionState) error {
	if e.ech && !state.ECHAccepted {
		return errors.New("expected Encrypted Client Hello to be accepted")
	}
	return nil
}

// checkRejection holds the error of a rejected hello against what is expected.
func (e *expectations) checkRejection(err error) error {
	var rejection *tls.ECHRejectionError
	if !errors.As(err, &rejection) {
		return err
	}
	got := rejection.RetryConfigList
	if e.echRetry != nil && !bytes.Equal(e.echRetry, got) || e.noECHRetry && got != nil {
		return fmt.Errorf("expected the configurations %x for another try, got %x", e.echRetry, got)
	}
	return err
}

// appendECHKey begins another key of a server. The flags that follow are about
// it.
func appendECHKey(s *settings, v string) error {
	config, err := base64.StdEncoding.DecodeString(v)
	s.echKeys = append(s.echKeys, tls.EncryptedClientHelloKey{Config: config})
	return err
}

func (s *settings) echKey() *tls.EncryptedClientHelloKey {
	if len(s.echKeys) == 0 {
		s.echKeys = make([]tls.EncryptedClientHelloKey, 1)
	}
	return &s.echKeys[len(s.echKeys)-1]
}
