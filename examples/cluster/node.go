package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// secrets is what the members of a cluster share, all from one secret of 32 bytes.
// Nobody else may have it, the devices least of all: they have keys of their own,
// which here are made from it too.
type secrets [32]byte

func (s secrets) derive(purpose string, n int) []byte {
	key, err := hkdf.Key(sha256.New, s[:], nil, "godwit example cluster "+purpose, n)
	if err != nil {
		panic(err) // only for lengths that nobody asks for
	}
	return key
}

// router knows the connection IDs of the cluster: a server's number of 2 bytes
// under encryption, 12 bytes in all.
func (s secrets) router() (*dtls.ConnectionIDRouter, error) {
	return dtls.NewConnectionIDRouter(dtls.ConnectionIDRouting{Key: [16]byte(s.derive("routing", 16)), ServerLen: 2, NonceLen: 9})
}

// device is the credential of one device.
func (s secrets) device(identity string) *dtls.ExternalPSK {
	return &dtls.ExternalPSK{Identity: []byte(identity), Key: s.derive("device "+identity, 32), Use: dtls.PSKDirect}
}

// serverConfig is that of node number. Without a store its connections end with it.
func (s secrets) serverConfig(number uint64, store dtls.Store) (*dtls.Config, error) {
	router, err := s.router()
	if err != nil {
		return nil, err
	}
	ids, err := router.Generator(number)
	if err != nil {
		return nil, err
	}
	c := &dtls.Config{
		GetPSK: func(identity []byte, _ dtls.ConnectionState) (*dtls.ExternalPSK, error) {
			return s.device(string(identity)), nil
		},
		SessionTicketsDisabled: true,
		CookieKeys:             [][32]byte{[32]byte(s.derive("cookies", 32))},
		ConnectionIDs:          ids,
	}
	if store != nil {
		c.Store, c.StoreKey = store, s.derive("store", 32)
	}
	return c, nil
}

// deviceConfig is that of one device. It wants no ID on what it gets: it has one
// peer.
func (s secrets) deviceConfig(identity string) *dtls.Config {
	return &dtls.Config{
		Credentials:   []dtls.Credential{{PSK: s.device(identity)}},
		ConnectionIDs: dtls.RandomConnectionIDs(0),
	}
}

// A node is one server of the cluster. It answers what devices say with its name.
type node struct {
	listener *dtls.Listener
	stop     chan struct{}
}

// newNode joins the cluster behind a balancer.
func newNode(number uint64, balancer netip.AddrPort, s secrets, store dtls.Store) (*node, error) {
	config, err := s.serverConfig(number, store)
	if err != nil {
		return nil, err
	}
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(balancer))
	if err != nil {
		return nil, err
	}
	l, err := dtls.NewListener(&tunnel{UDPConn: back}, config)
	if err != nil {
		return nil, err
	}
	n := &node{listener: l, stop: make(chan struct{})}
	go n.beat(back, number)
	go n.serve(fmt.Sprint("node ", number))
	return n, nil
}

// beat says that the node lives.
func (n *node) beat(back net.Conn, number uint64) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		back.Write(heartbeat(number)) // the next one may get through
		select {
		case <-n.stop:
			return
		case <-ticker.C:
		}
	}
}

// serve answers whoever is accepted: new devices, and those of other nodes whose
// connections the Listener has found in the Store.
func (n *node) serve(name string) {
	for {
		c, err := n.listener.AcceptConn()
		if err != nil {
			return
		}
		go answer(c, name)
	}
}

func answer(c *dtls.Conn, name string) {
	defer c.Close()
	b := make([]byte, 2000)
	for {
		n, err := c.Read(b)
		if err != nil { // dtls.ErrReplayed: it has gone on at another node
			return
		}
		if _, err := c.Write(append([]byte(name+": "), b[:n]...)); err != nil {
			return
		}
	}
}

// Close leaves the cluster.
func (n *node) Close() {
	close(n.stop)
	n.listener.Close()
}
