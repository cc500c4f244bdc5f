package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// loopback is where everybody listens.
const loopback = "127.0.0.1:0"

// Patience is how long servers wait, and honest clients.
type patience struct {
	handshake time.Duration // a server, for a client's handshake
	idle      time.Duration // a server, for a client that says nothing: by the site's clock
	visit     time.Duration // a client, for all that it came for
}

var usualPatience = patience{handshake: 30 * time.Second, idle: 5 * time.Second, visit: 2 * time.Minute}

// A site has the servers, which echo.
type site struct {
	credentials
	patience
	clock     clock
	store     *memoryStore
	storeKey  []byte
	datagrams []*server
	storing   []*server    // those of them with the Store
	secure    net.Listener // TLS
	streams   atomic.Int64 // Conns of it

	ended  context.Context // by close
	end    context.CancelFunc
	atWork sync.WaitGroup // goroutines of the servers
}

// A server is one or more Listeners on one address.
type server struct {
	name      string
	address   *net.UDPAddr
	listeners []*dtls.Listener
}

// emptySite has no server yet.
func emptySite(p patience) (*site, error) {
	c, err := newCredentials()
	if err != nil {
		return nil, err
	}
	s := &site{credentials: c, patience: p, store: newMemoryStore(), storeKey: newKey()}
	s.ended, s.end = context.WithCancel(context.Background())
	s.atWork.Go(func() { s.clock.run(s.ended) })
	return s, nil
}

// openSite has all servers.
func openSite(p patience) (*site, error) {
	s, err := emptySite(p)
	if err != nil {
		return nil, err
	}
	for _, open := range []func() error{s.openAccepting, s.openServing, s.openGroup, s.openStoring, s.openSecure} {
		if err := open(); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// openAccepting opens a server with a goroutine for each client.
func (s *site) openAccepting() error {
	l, err := dtls.Listen("udp4", loopback, s.forServer(s.patience))
	if err != nil {
		return err
	}
	s.add("Accept", []*dtls.Listener{l})
	s.atWork.Go(func() { s.acceptAll(l) })
	return nil
}

// openServing opens a server whose clients have no goroutine.
func (s *site) openServing() error {
	l, err := dtls.Listen("udp4", loopback, s.forServer(s.patience))
	if err != nil {
		return err
	}
	s.add("Serve", []*dtls.Listener{l})
	s.serve(l)
	return nil
}

// openGroup opens one with a socket for each core.
func (s *site) openGroup() error {
	group, err := dtls.ListenGroup("udp4", loopback, 2, s.forServer(s.patience))
	if err != nil {
		return err
	}
	s.add("ListenGroup", group)
	for _, l := range group {
		s.serve(l)
	}
	return nil
}

// storeBlock is how many record numbers are reserved.
const storeBlock = 16

// openStoring opens two whose connections outlive them: each goes on with those of the
// other.
func (s *site) openStoring() error {
	for _, name := range []string{"Store", "the other with the Store"} {
		config := s.forServer(s.patience)
		config.Store, config.StoreKey, config.StoreBlock = s.store, s.storeKey, storeBlock
		config.InsecureImportWithoutStore = false
		l, err := dtls.Listen("udp4", loopback, config)
		if err != nil {
			return err
		}
		s.storing = append(s.storing, s.add(name, []*dtls.Listener{l}))
		s.atWork.Go(func() { s.acceptAll(l) })
	}
	return nil
}

func (s *site) openSecure() error {
	config := s.forServer(s.patience)
	l, err := tls.Listen("tcp4", loopback, config)
	if err != nil {
		return err
	}
	s.secure = l
	s.atWork.Go(s.acceptStreams)
	return nil
}

func (s *site) add(name string, listeners []*dtls.Listener) *server {
	added := &server{name: name, address: listeners[0].Addr().(*net.UDPAddr), listeners: listeners}
	s.datagrams = append(s.datagrams, added)
	return added
}

// connections is how many clients the servers have.
func (s *site) connections() int {
	n := int(s.streams.Load())
	for _, d := range s.datagrams {
		for _, l := range d.listeners {
			n += l.Stats().Connections
		}
	}
	return n
}

// callItADay closes what handshakes are under way, when no honest client is there.
func (s *site) callItADay() {
	for _, d := range s.datagrams {
		for _, l := range d.listeners {
			for _, c := range l.Conns() {
				if !c.ConnectionState().HandshakeComplete {
					c.Close()
				}
			}
		}
	}
}

// close closes everything, and waits for all that has a goroutine.
func (s *site) close() {
	s.end()
	for _, d := range s.datagrams {
		for _, l := range d.listeners {
			l.Close()
		}
	}
	if s.secure != nil {
		s.secure.Close()
	}
	s.atWork.Wait()
}
