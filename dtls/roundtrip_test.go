package dtls

import (
	"testing"
)

// How many round trips it takes until each side is connected, on a link without loss:
// certificates, client authentication, ML-KEM where the version has it, no cookie. The
// datagrams of both are golden numbers, with the ACKs that follow.
func TestRoundTrips(t *testing.T) {
	for _, c := range []struct {
		name               string
		change             func(client, server *Config)
		client, server     float64 // round trips until it is open
		ofClient, ofServer int     // datagrams
	}{
		{"1.3", together(), 1, 1.5, 3, 3},
		{"1.2", only12, 2, 1.5, 2, 2},
		{"1.2, of a client that offers 1.3", func(_, server *Config) { server.MaxVersion = VersionDTLS12 }, 2, 1.5, 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(hybrid, clientAuth, c.change)
			s := simulate(t, 0, client, server)
			opened := map[*side]float64{}
			if err := s.run(func() bool {
				for _, d := range []*side{s.client, s.server} {
					if _, ok := opened[d]; !ok && d.Open() {
						opened[d] = float64(s.now.Sub(epochOfSimulation)) / float64(2*latency)
					}
				}
				return s.quiet()
			}); err != nil {
				t.Fatal(err)
			}
			if opened[s.client] != c.client || opened[s.server] != c.server {
				t.Errorf("the client is open after %v round trips, the server after %v, want %v and %v", opened[s.client], opened[s.server], c.client, c.server)
			}
			if f := s.footprint(); f.client != c.ofClient || f.server != c.ofServer {
				t.Errorf("%d datagrams of the client, %d of the server, want %d and %d", f.client, f.server, c.ofClient, c.ofServer)
			}
			s.exchange()
		})
	}
}
