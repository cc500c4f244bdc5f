package dtls

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// stapled lets the client ask for all that may come with a certificate, and both
// agree on DTLS-SRTP.
func stapled(client, server *Config) {
	client.RequestOCSPStaple, client.RequestSCTs = true, true
	client.SRTPProfiles = []SRTPProfile{SRTPAEADAES256GCM, SRTPAES128CMHMACSHA1_80}
	server.SRTPProfiles = []SRTPProfile{SRTPAES128CMHMACSHA1_80}
	client.SRTPMasterKeyIdentifier, server.SRTPMasterKeyIdentifier = []byte("key 1"), []byte("key 1")
	server.Certificates = slices.Clone(server.Certificates)
	server.Certificates[0].OCSPStaple = bytes.Repeat([]byte("good"), 500) // more than a datagram
	server.Certificates[0].SignedCertificateTimestamps = [][]byte{[]byte("a log")}
}

// A staple crosses the link in fragments, and the keys for SRTP are the same on
// both sides.
func TestStapleAndSRTP(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(together(version, stapled))
		s := established(t, client, server)
		c, d := s.client.State(), s.server.State()
		if !bytes.Equal(c.OCSPResponse, server.Certificates[0].OCSPStaple) || len(c.SignedCertificateTimestamps) != 1 {
			t.Errorf("a staple of %d bytes, %d timestamps", len(c.OCSPResponse), len(c.SignedCertificateTimestamps))
		}
		if c.SRTPProfile != SRTPAES128CMHMACSHA1_80 || d.SRTPProfile != c.SRTPProfile {
			t.Errorf("client %v, server %v", c.SRTPProfile, d.SRTPProfile)
		}
		if string(c.SRTPMasterKeyIdentifier) != "key 1" || string(d.SRTPMasterKeyIdentifier) != "key 1" {
			t.Errorf("client %q, server %q", c.SRTPMasterKeyIdentifier, d.SRTPMasterKeyIdentifier)
		}
		ours, err := c.SRTPKeys()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := d.SRTPKeys()
		if err != nil || !reflect.DeepEqual(ours, theirs) {
			t.Error("the keys for SRTP differ", err)
		}
	})
}
