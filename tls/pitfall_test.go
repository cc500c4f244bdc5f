package tls

import (
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What streams did to other stacks. docs/pitfalls.md has it all.

// A record that is not the peer's, before each one of a handshake: ends it in 1.2,
// or is passed over in 1.3. A ChangeCipherSpec never switches keys before its turn
// (CVE-2014-0224), nor is data read before Finished (CVE-2014-8176).
func TestPitfallInjectedRecords(t *testing.T) {
	for name, record := range map[string]string{
		"ChangeCipherSpec": "\x14\x03\x03\x00\x01\x01", // RFC 9846 E.4 has it pass in 1.3
		"data":             "\x17\x03\x03\x00\x04data",
	} {
		for i := range scenarios {
			t.Run(name+"/"+scenarios[i].name, func(t *testing.T) {
				is13 := scenarios[i].version == VersionTLS13
				for n := 0; ; n++ {
					client, server := scenario(i)
					p := newPair(t, client, server)
					seen, injected := 0, false
					p.cut = func(b []byte) (pieces [][]byte) {
						for len(b) > 0 {
							size := headerSize + parseHeader(b).length
							if seen == n && !injected {
								pieces, injected = append(pieces, []byte(record)), true
							}
							pieces, b = append(pieces, slices.Clone(b[:size])), b[size:]
							seen++
						}
						return pieces
					}
					clientErr, serverErr := p.connect()
					if !injected {
						break
					}
					if len(readAll(p.client))+len(readAll(p.server)) > 0 {
						t.Errorf("before record %d: it is read", n)
					}
					open := p.client.Open() && p.server.Open() && clientErr == nil && serverErr == nil
					if tolerated := is13 && record[0] == byte(protocol.ChangeCipherSpec); open && !tolerated {
						t.Errorf("before record %d: the handshake is complete", n)
					}
				}
			})
		}
	}
}

// Before any hello it is an unexpected message, to either side (CVE-2009-1386).
func TestPitfallChangeCipherSpecFirst(t *testing.T) {
	for _, v := range versions {
		client, server := configs(v.number)
		p := newPair(t, client, server)
		p.client.Start(testTime)
		for who, e := range map[string]*Engine{"client": p.client, "server": p.server} {
			e.Receive([]byte("\x14\x03\x03\x00\x01\x01"), testTime)
			if who == "client" && v.number == VersionTLS13 {
				if e.Err() != nil {
					t.Error(e.Err()) // it may come before ServerHello, RFC 9846 5
				}
				continue
			}
			wantAlert(t, who, e.Err(), alert.UnexpectedMessage, false)
		}
	}
}

// 1.3 ignores a ChangeCipherSpec, but not for ever (CVE-2020-12457).
func TestPitfallChangeCipherSpecFlood(t *testing.T) {
	client, server := configs(VersionTLS13)
	p := newPair(t, client, server)
	p.client.Start(testTime)
	p.server.Receive(drain(p.client), testTime)
	work(p.server)
	taken := 0
	for p.server.Err() == nil && taken < 1000 {
		p.server.Receive([]byte("\x14\x03\x03\x00\x01\x01"), testTime)
		taken++
	}
	wantAlert(t, "server", p.server.Err(), alert.UnexpectedMessage, false)
	if taken > maxEmpty+1 {
		t.Errorf("%d are taken", taken)
	}
}
