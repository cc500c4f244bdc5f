package dtls

import (
	godwit "github.com/godwit-dtls/godwit/dtls"
)

// Keys are used as they are, in both versions: who has them in 1.2 has no others.

// servePSK lets clients name a key. In 1.3 the client's identity comes first, and in
// 1.2 after the hint.
func (c *Config) servePSK(g *godwit.Config) {
	g.GetPSK = func(identity []byte, _ godwit.ConnectionState) (*godwit.ExternalPSK, error) {
		return c.psk(identity, identity)
	}
}

// offerPSK lets a client use its key. In 1.3 it is on offer before a server could
// give a hint; a callback that wants one makes a client of 1.2 alone.
func (c *Config) offerPSK(g *godwit.Config) {
	g.PSKIdentityHint = nil // which is a server's
	g.PSKOrCertificate = len(c.Certificates) > 0 || c.GetClientCertificate != nil
	g.GetClientPSK = func(hint []byte, _ godwit.ConnectionState) (*godwit.ExternalPSK, error) {
		key, err := c.psk(hint, c.PSKIdentityHint)
		if key != nil {
			key.Use = godwit.PSKDirect12
		}
		return key, err
	}
	if key, err := c.psk(nil, c.PSKIdentityHint); err == nil {
		g.Credentials = []godwit.Credential{{PSK: key}}
	}
}

func (c *Config) psk(hint, identity []byte) (*godwit.ExternalPSK, error) {
	key, err := c.PSK(hint)
	if err != nil {
		return nil, err
	}
	return &godwit.ExternalPSK{Identity: identity, Key: key, Use: godwit.PSKDirect}, nil
}
