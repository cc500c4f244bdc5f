package main

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"time"
)

// The peers that are always there.
var (
	godwitDTLS12 = inProcess{godwit{datagrams, version12}}
	godwitDTLS13 = inProcess{godwit{datagrams, version13}}
	godwitTLS12  = inProcess{godwit{stream, version12}}
	godwitTLS13  = inProcess{godwit{stream, version13}}
	pionDTLS12   = inProcess{pion{}}
	cryptoTLS12  = inProcess{cryptoTLS{version12}}
	cryptoTLS13  = inProcess{cryptoTLS{version13}}
)

// goPeers are all of them, in the order of the table's columns.
func goPeers() []peer {
	return []peer{bare{}, godwitDTLS12, godwitDTLS13, godwitTLS12, godwitTLS13, pionDTLS12, cryptoTLS12, cryptoTLS13}
}

// peerByName is nil for a name that nobody has.
func peerByName(name string) peer {
	for _, p := range append(goPeers(), sealed{}) {
		if p.name() == name {
			return p
		}
	}
	return nil
}

// The names of contests.
const (
	fullHandshakes    = "full handshakes"
	hybridHandshakes  = "full handshakes, X25519MLKEM768"
	resumedHandshakes = "resumed handshakes"
	idleConnections   = "idle connections"
	singleDatagrams   = "UDP, one by one"
	batchedDatagrams  = "UDP, batched"
)

func recordsOf(size int) string  { return fmt.Sprintf("records of %d bytes", size) }
func enginesOf(size int) string  { return fmt.Sprintf("records of %d bytes, Engines", size) }
func clientsAtOnce(n int) string { return fmt.Sprintf("%d clients at once", n) }

// recordSizes are those of the table, in bytes.
var recordSizes = []int{64, 256, 1200, 4096, 8192}

const (
	datagramSize  = 1200
	datagramBatch = 32
)

// fullPlan is every peer in every contest.
func fullPlan(peers []peer) (plan []contest) {
	for _, size := range recordSizes {
		plan = append(plan,
			records(size, 25, 40*time.Millisecond, peers...),
			engines(size, 25, 40*time.Millisecond, godwitDTLS12, godwitDTLS13, godwitTLS12, godwitTLS13))
	}
	return append(plan,
		handshakes(fullHandshakes, handshake{}, 15, 150*time.Millisecond, peers...),
		handshakes(hybridHandshakes, handshake{group: tls.X25519MLKEM768}, 11, 100*time.Millisecond, bare{}, godwitDTLS13, godwitTLS13, cryptoTLS13),
		handshakes(resumedHandshakes, handshake{resumes: true}, 15, 100*time.Millisecond, peers...),
		idle(500, peers...),
		udp(singleDatagrams, 1, 7, time.Second, append(peers, sealed{})...),
		udp(batchedDatagrams, datagramBatch, 7, time.Second, bare{}, sealed{}, godwitDTLS12, godwitDTLS13),
		listener(200, 5, godwitDTLS12, godwitDTLS13, pionDTLS12),
		listener(1000, 1, godwitDTLS12, godwitDTLS13, pionDTLS12),
		listener(5000, 1, godwitDTLS12, godwitDTLS13),
		floods(asAnswered, 10_000, bare{}, godwitDTLS12, godwitDTLS13),
		floods(asSent, 10_000, godwitDTLS12, godwitDTLS13),
		floods(withCookie, 1000, godwitDTLS12, godwitDTLS13),
		floods(inTwo, 1000, godwitDTLS13),
	)
}

// quickPlan is what the figures need.
func quickPlan() []contest {
	return []contest{
		engines(64, 25, 30*time.Millisecond, godwitDTLS12, godwitDTLS13),
		engines(1200, 25, 30*time.Millisecond, godwitDTLS12, godwitDTLS13),
		engines(8192, 25, 30*time.Millisecond, godwitTLS12, godwitTLS13),
		handshakes(fullHandshakes, handshake{}, 13, 60*time.Millisecond, godwitDTLS12, godwitDTLS13, pionDTLS12, cryptoTLS12, cryptoTLS13),
		handshakes(hybridHandshakes, handshake{group: tls.X25519MLKEM768}, 9, 50*time.Millisecond, godwitDTLS13, cryptoTLS13),
		handshakes(resumedHandshakes, handshake{resumes: true}, 9, 40*time.Millisecond, godwitDTLS12, godwitDTLS13, cryptoTLS12, cryptoTLS13),
		idle(200, godwitDTLS12, godwitDTLS13),
		udp(singleDatagrams, 1, 3, 400*time.Millisecond, bare{}, sealed{}, godwitDTLS13, pionDTLS12),
		udp(batchedDatagrams, datagramBatch, 3, 400*time.Millisecond, godwitDTLS13),
		listener(200, 3, godwitDTLS13, pionDTLS12),
		floods(asAnswered, 1000, bare{}, godwitDTLS12, godwitDTLS13),
	}
}

// What happens in memory has one processor, so that a handshake's two sides don't
// look for each other on another one.

func records(size, rounds int, turn time.Duration, peers ...peer) contest {
	return contest{
		name: recordsOf(size), peers: peers, rounds: rounds, turn: turn, procs: 1,
		begin: func(p peer, _ int) (task, error) { return p.records(size) },
	}
}

func engines(size, rounds int, turn time.Duration, peers ...inProcess) contest {
	c := records(size, rounds, turn)
	c.name = enginesOf(size)
	c.begin = func(p peer, _ int) (task, error) { return p.(inProcess).stack.(godwit).engines(size) }
	for _, p := range peers {
		c.peers = append(c.peers, p)
	}
	return c
}

func handshakes(name string, h handshake, rounds int, turn time.Duration, peers ...peer) contest {
	return contest{
		name: name, peers: peers, rounds: rounds, turn: turn, procs: 1,
		begin: func(p peer, _ int) (task, error) { return p.handshakes(h) },
	}
}

func idle(pairs int, peers ...peer) contest {
	return contest{
		name: idleConnections, peers: peers, crowd: pairs, rounds: 1, procs: 1,
		begin: peer.idle,
	}
}

func udp(name string, batch, rounds int, turn time.Duration, peers ...peer) contest {
	return contest{
		name: name, peers: peers, rounds: rounds, turn: turn, procs: runtime.NumCPU(),
		begin: func(p peer, _ int) (task, error) { return p.datagrams(datagramSize, batch) },
	}
}

func listener(clients, rounds int, peers ...peer) contest {
	return contest{
		name: clientsAtOnce(clients), peers: peers, crowd: clients, rounds: rounds, limit: 8 * time.Second, procs: runtime.NumCPU(),
		begin: peer.listener,
	}
}

// floods has a hundred honest clients, and so many hellos for each.
func floods(f flood, hellos int, peers ...peer) contest {
	return contest{
		name: f.name, peers: peers, crowd: 100, rounds: 1, procs: runtime.NumCPU(),
		begin: func(p peer, honest int) (task, error) {
			return p.(interface {
				flood(f flood, hellos, honest int) (task, error)
			}).flood(f, hellos*honest, honest)
		},
	}
}
