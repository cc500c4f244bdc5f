package tls

import (
	"testing"
	"time"
)

// What one side has sent the other has received; and the time of the handshake is the
// client's between its hello and the server's Finished.
func TestStats(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		client, server := configs(version)
		p := newPair(t, client, server)
		p.client.Start(testTime.Add(-time.Second))
		if got := p.client.Stats(); got.HandshakeTime != 0 || got.RecordsSent == 0 || got.BytesSent != 0 {
			t.Errorf("%+v before anything was taken", got)
		}
		p.pump()
		p.exchange(t)
		if version == VersionTLS13 {
			for _, e := range []*Engine{p.client, p.server} {
				if err := e.KeyUpdate(UpdateRequested, testTime); err != nil {
					t.Fatal(err)
				}
				p.exchange(t)
				p.exchange(t) // the answer goes before data
			}
		}
		c, s := newConn(nil, p.client).Stats(), p.server.Stats()
		if c.HandshakeTime != time.Second || s.HandshakeTime != 0 {
			t.Errorf("%v and %v", c.HandshakeTime, s.HandshakeTime)
		}
		for _, way := range [][2]Stats{{c, s}, {s, c}} {
			if way[0].BytesSent != way[1].BytesReceived || way[0].RecordsSent != way[1].RecordsReceived || way[0].BytesSent == 0 {
				t.Errorf("sent %+v, received %+v", way[0], way[1])
			}
			if want := uint64(2); version == VersionTLS13 && (way[0].KeyUpdatesSent != want || way[1].KeyUpdatesReceived != want) {
				t.Errorf("%d and %d key updates", way[0].KeyUpdatesSent, way[1].KeyUpdatesReceived)
			}
		}
	}
}
