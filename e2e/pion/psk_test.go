package dtls_test

import (
	"errors"
	"testing"

	"github.com/pion/dtls/v3"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

var key = []byte{0xab, 0xc1, 0x23} // as short as those of go-coap's tests

// A key works in both versions, by the client's identity; the client's callback gets
// the hint of 1.2.
func TestPSK(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16, limit dtls.Option) {
		var hints []string
		client, server := sides{
			both: []dtls.Option{limit, dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8)},
			client: []dtls.ClientOption{dtls.WithPSKIdentityHint([]byte("curlew")), dtls.WithPSK(func(hint []byte) ([]byte, error) {
				hints = append(hints, string(hint))
				return key, nil
			})},
			server: []dtls.ServerOption{dtls.WithPSKIdentityHint([]byte("marsh")), dtls.WithPSK(func(identity []byte) ([]byte, error) {
				if string(identity) != "curlew" {
					return nil, errors.New("nobody")
				}
				return key, nil
			})},
		}.connected(t)
		send(t, client, server, "there")
		send(t, server, client, "and back")
		s := state(t, server)
		if s.Godwit().Version != version || string(s.IdentityHint) != "curlew" {
			t.Errorf("version %#x, identity %q", s.Godwit().Version, s.IdentityHint)
		}
		if version == godwit.VersionDTLS12 && s.CipherSuiteID != dtls.TLS_PSK_WITH_AES_128_CCM_8 {
			t.Error(s.CipherSuiteID)
		}
		if last := hints[len(hints)-1]; (last == "marsh") != (version == godwit.VersionDTLS12) {
			t.Errorf("hints %q", hints)
		}
	})
}

// A client that can't choose its key without a hint speaks 1.2.
func TestPSKNeedsHint(t *testing.T) {
	client, _ := sides{
		client: []dtls.ClientOption{dtls.WithPSKIdentityHint([]byte("curlew")), dtls.WithPSK(func(hint []byte) ([]byte, error) {
			if string(hint) != "marsh" {
				return nil, errors.New("where?")
			}
			return key, nil
		})},
		server: []dtls.ServerOption{dtls.WithPSKIdentityHint([]byte("marsh")), dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil })},
	}.connected(t)
	if s := state(t, client); s.Godwit().Version != godwit.VersionDTLS12 {
		t.Errorf("version %#x", s.Godwit().Version)
	}
}

// A client with a key takes a certificate only if it has one itself, as with Pion.
func TestPSKOrCertificate(t *testing.T) {
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		psk := func([]byte) ([]byte, error) { return key, nil }
		s := sides{
			both:   []dtls.Option{limit, dtls.WithInsecureSkipVerify(true)},
			client: []dtls.ClientOption{dtls.WithPSK(psk), dtls.WithPSKIdentityHint([]byte("curlew"))},
			server: []dtls.ServerOption{dtls.WithCertificates(certificate(t))},
		}
		client, server := s.pair(t)
		if err, _ := shake(client, server); err == nil {
			t.Error("a certificate, without a word that it is welcome")
		}
		s.client = append(s.client, dtls.WithCertificates(certificate(t)))
		s.connected(t)
	})
}

// Another key is another peer. 1.3 says so; in 1.2 nobody can read the other's
// Finished.
func TestPSKDiffers(t *testing.T) {
	client, server := sides{
		client: []dtls.ClientOption{dtls.WithPSKIdentityHint([]byte("curlew")), dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil })},
		server: []dtls.ServerOption{dtls.WithPSK(func([]byte) ([]byte, error) { return []byte{1, 2, 3}, nil })},
	}.pair(t)
	if c, s := shake(client, server); c == nil || s == nil {
		t.Error(c, s)
	}
}
