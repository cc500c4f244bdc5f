package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// With -early the connections after the first send their text as 0-RTT data, in
// 1.3, and get an echo of it.
func TestEarlyData(t *testing.T) {
	for _, p := range protocols {
		for _, kind := range []string{"certificate", "psk"} {
			t.Run(p.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				flags := with(p.flags, "-json")
				if kind == "psk" {
					flags = append(flags, "-psk", "egg:00112233445566778899aabbccddeeff")
				}
				s := startServer(t, with(flags, "-once", "3")...)
				flags = with(flags, "-resume", "2", "-send", "first", "-early", "dawn")
				if kind == "certificate" {
					flags = append(flags, "-fingerprint", s.fingerprint)
				}
				c := godwit(t, nil, client(flags, s.address)...).expect(t, 0)
				for who, reports := range map[string][]map[string]any{"client": c.reports(t), "server": s.end(t).expect(t, 0).reports(t)} {
					resumed := 0
					for _, r := range reports { // the server's come as conversations end
						early, size := false, 5.0
						if r["resumed"] == true {
							resumed++
							early, size = strings.HasSuffix(p.name, "1.3"), 4
						}
						if r["early_data"] != early || r["bytes_in"] != size || r["bytes_out"] != size {
							t.Errorf("the %s reports %v", who, r)
						}
					}
					if len(reports) != 3 || resumed != 2 {
						t.Errorf("the %s has %d reports, %d of them resumed", who, len(reports), resumed)
					}
				}
				if strings.Count(c.stdout, "dawn\n{") != 2 || strings.Count(c.stdout, "first\n{") != 1 {
					t.Errorf("the client printed %q", c.stdout)
				}
			})
		}
	}
}

// What a server doesn't take as 0-RTT data it gets after the handshake. Without
// -send the text goes over the first connection too.
func TestEarlyDataRefused(t *testing.T) {
	for _, p := range []int{0, 2} { // DTLS 1.3, TLS 1.3
		protocol := protocols[p]
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			s := startServer(t, with(protocol.flags, "-once", "2", "-groups", "secp384r1")...)
			// Its group is not the client's first: a HelloRetryRequest ends 0-RTT.
			flags := with(protocol.flags, "-insecure", "-json", "-groups", "x25519,secp384r1", "-resume", "1", "-early", "dawn", "-trace", trace)
			c := godwit(t, nil, client(flags, s.address)...).expect(t, 0)
			s.end(t).expect(t, 0)
			reports := c.reports(t)
			if strings.Count(c.stdout, "dawn\n{") != 2 || len(reports) != 2 ||
				reports[1]["resumed"] != true || reports[1]["early_data"] != false || reports[1]["bytes_out"] != 4.0 {
				t.Errorf("the client printed %q", c.stdout)
			}
			if !slices.ContainsFunc(readTrace(t, trace), func(e traced) bool {
				return strings.HasSuffix(e.Name, ":record_sent") && e.Data.Epoch == 1 && e.Data.SequenceNumber == 0
			}) {
				t.Error("the client sent no 0-RTT data")
			}
		})
	}
}
