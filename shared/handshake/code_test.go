package handshake

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// TestCodeRefuses what no open Machine is, though each part of it can be read.
func TestCodeRefuses(t *testing.T) {
	short := keys.Schedule{Hash: suite.ByID(suite.TLS_AES_128_GCM_SHA256).Hash, Transport: protocol.Datagram}
	for what, c := range map[string]struct {
		version protocol.Version
		spoil   func(m *Machine)
	}{
		"the version of another transport":   {protocol.VersionTLS13, func(m *Machine) { m.version = protocol.VersionTLS13 }},
		"no version":                         {protocol.VersionTLS12, func(m *Machine) { m.version = 7 }},
		"a suite of another version":         {protocol.VersionTLS13, func(m *Machine) { m.suite = suite.ByID(suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) }},
		"a group that nobody knows":          {protocol.VersionTLS13, func(m *Machine) { m.group = &suite.Group{ID: 0x7a7a} }},
		"a certificate that is none":         {protocol.VersionTLS13, func(m *Machine) { m.peer.chain = []*x509.Certificate{{Raw: []byte{1}}} }},
		"a secret that is too short":         {protocol.VersionTLS13, func(m *Machine) { m.secrets13.client = short.Traffic([]byte{1}) }},
		"records that are too long":          {protocol.VersionTLS12, func(m *Machine) { m.sizes.ours = MaxPlaintext + 2 }},
		"an ID to be used at once, and none": {protocol.VersionTLS13, func(m *Machine) { m.identity.immediate = true }},
		"tickets without a secret": {protocol.VersionTLS13, func(m *Machine) {
			m.ticketsDue, m.secrets13.resumption = 1, short.Resumption(nil)
		}},
	} {
		client, server := configs(c.version)
		p := begin(t, protocol.Datagram, client, server).run()
		if p.client.err != nil || !p.client.m.Open() {
			t.Fatal(p.client.err)
		}
		if err := recoded(p.client.m, client); err != nil {
			t.Fatalf("%s: unspoiled: %v", what, err)
		}
		c.spoil(p.client.m)
		if err := recoded(p.client.m, client); !errors.Is(err, wire.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// recoded writes a client and reads it again.
func recoded(m *Machine, config *Config) error {
	c := wire.NewEncoder()
	m.Code(c)
	b, err := c.Finish()
	if err != nil {
		return err
	}
	c = wire.NewDecoder(b)
	Continue(Client, config, protocol.Datagram, &peer{}).Code(c)
	_, err = c.Finish()
	return err
}
