package main

import (
	"testing"
)

// Keys instead of certificates, in all protocols: the server has several, and no
// certificate.
func TestPSK(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, with(p.flags, "-psk", "nest:00112233445566778899aabbccddeeff", "-psk", "egg:3:aabb", "-psk-hint", "birds", "-once", "2", "-json")...)
			if s.fingerprint != "" {
				t.Error("the server made a certificate")
			}
			c := godwit(t, nil, client(p.flags, "-psk", "egg:3:aabb", "-json", "-send", "tweet", s.address)...).expect(t, 0)
			godwit(t, nil, client(p.flags, "-insecure", "-timeout", "500ms", "-send", "tweet", s.address)...).expect(t, 1) // without a key
			served := s.end(t).expect(t, 1)
			for role, report := range map[string]map[string]any{"client": c.report(t), "server": served.report(t)} {
				if report["psk_identity"] != "egg:3" || report["peer_fingerprint"] != "" || report["version"] != p.name {
					t.Errorf("the %s reports %v", role, report)
				}
			}
		})
	}
}

// A client with a key takes a certificate only if it is told which.
func TestPSKOrCertificate(t *testing.T) {
	s := startServer(t, "-once", "1", "-json", "-min", "1.3")
	godwit(t, nil, "connect", "-psk", "egg:aabb", "-timeout", "500ms", "-send", "tweet", s.address).expect(t, 1)
	s.end(t)
	s = startServer(t, "-once", "1", "-json")
	godwit(t, nil, "connect", "-psk", "egg:aabb", "-fingerprint", s.fingerprint, "-send", "tweet", s.address).expect(t, 0)
}

func TestPSKUsage(t *testing.T) {
	for _, value := range []string{"egg", "egg:", "egg:xyz", ":"} {
		godwit(t, nil, "connect", "-psk", value, "127.0.0.1:1").expect(t, 2)
	}
}
