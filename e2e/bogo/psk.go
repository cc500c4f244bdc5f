package main

import (
	"fmt"

	"github.com/godwit-dtls/godwit/dtls"
)

// configurePSK adds the key of 1.2's suites. In the tests its identity is the
// server's hint, too.
func (s *settings) configurePSK(config *dtls.Config) {
	config.PSKOrCertificate = s.verifyPeer
	if s.psk12.Key == nil {
		return
	}
	config.Credentials = append(config.Credentials, dtls.Credential{PSK: &s.psk12})
	config.PSKIdentityHint = s.psk12.Identity
	config.GetClientPSK = func(hint []byte, _ dtls.ConnectionState) (*dtls.ExternalPSK, error) {
		if string(hint) != string(s.psk12.Identity) {
			return nil, fmt.Errorf("expected the hint %q, got %q", s.psk12.Identity, hint)
		}
		return &s.psk12, nil
	}
}
