package connectionid

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
)

// A Routing is what servers and the balancer in front of them share, so that
// the balancer finds the server in a connection ID and an observer finds
// nothing. It is a configuration of QUIC-LB (draft-ietf-quic-load-balancers-21)
// with a key and with the length in the first octet; other balancers that know
// the draft route by it too. An ID is
//
//	u3 Rotation | u5 length of the rest | server, nonce: encrypted as one
//
// All fields but Rotation must be set. ServerLen and NonceLen add up to 19 at
// most. The ID tells who has the key which server it is for; it does not prove
// that a server made it. A ServerLen with room for many more servers than there
// are makes it unlikely that an invented ID leads to one.
type Routing struct {
	Key       [16]byte // of AES-128; secret
	Rotation  uint8    // 0 to 6: which Routing an ID is made by, while there are several
	ServerLen int      // 1 to 8 bytes for the server's number
	NonceLen  int      // 4 to 18 bytes that make every ID another one
}

const (
	maxRotation = 6 // 7 is for IDs that nobody can route by (draft, Configuration Failover)
	maxBlock    = 19
	lengthBits  = 0b0001_1111 // of the first octet
)

func (r Routing) validate() error {
	switch {
	case r.Key == [16]byte{}:
		return errors.New("connectionid: Routing.Key: none is set")
	case r.Rotation > maxRotation:
		return fmt.Errorf("connectionid: Routing.Rotation: %d is outside 0 to %d", r.Rotation, maxRotation)
	case r.ServerLen < 1 || r.ServerLen > 8:
		return fmt.Errorf("connectionid: Routing.ServerLen: %d is outside 1 to 8", r.ServerLen)
	case r.NonceLen < 4 || r.NonceLen > maxBlock-r.ServerLen:
		return fmt.Errorf("connectionid: Routing.NonceLen: %d is outside 4 to %d, what a server of %d bytes leaves of %d",
			r.NonceLen, maxBlock-r.ServerLen, r.ServerLen, maxBlock)
	}
	return nil
}

// A Router finds the server in a connection ID. Its zero value knows none. Its
// methods may be called from several goroutines at once.
type Router struct {
	newest *route
	routes [maxRotation + 1]*route // by rotation
}

// A route is a Routing that is ready for use.
type route struct {
	Routing
	network
}

// NewRouter returns a Router for IDs of one or several Routings, which must
// differ in Rotation. Its Generators use the first. To change a key, give the
// new Routing to the balancers, behind the old one or in front, then to the
// servers in front of the old one, and take the old one away when its IDs are gone.
func NewRouter(routings ...Routing) (*Router, error) {
	r := new(Router)
	for _, routing := range routings {
		if err := routing.validate(); err != nil {
			return nil, err
		}
		if r.routes[routing.Rotation] != nil {
			return nil, fmt.Errorf("connectionid: Routing.Rotation: two have %d", routing.Rotation)
		}
		added := &route{routing, newNetwork(routing.Key, routing.ServerLen+routing.NonceLen)}
		r.routes[routing.Rotation] = added
		if r.newest == nil {
			r.newest = added
		}
	}
	if r.newest == nil {
		return nil, errNoRouting
	}
	return r, nil
}

var errNoRouting = errors.New("connectionid: a Router without a Routing")

// find returns the route that an ID was made by; nil if b begins with none.
func (r *Router) find(b []byte) *route {
	if len(b) == 0 || b[0]>>5 > maxRotation {
		return nil
	}
	found := r.routes[b[0]>>5]
	if found == nil || int(b[0]&lengthBits) != found.size || len(b) < 1+found.size {
		return nil
	}
	return found
}

// Len returns how many bytes the ID has that b begins with; 0 if it begins with
// none that a Routing describes.
func (r *Router) Len(b []byte) int {
	if found := r.find(b); found != nil {
		return 1 + found.size
	}
	return 0
}

// Server returns the number of the server that made the ID with which b begins;
// false if b begins with none that a Routing
// describes. An ID that nobody made has a number too, any number: the caller
// knows which ones are servers. Server doesn't allocate.
func (r *Router) Server(b []byte) (server uint64, ok bool) {
	found := r.find(b)
	if found == nil {
		return 0, false
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	copy(s.text[:], b[1:1+found.size])
	found.decrypt(s, found.ServerLen)
	for _, octet := range s.text[:found.ServerLen] {
		server = server<<8 | uint64(octet)
	}
	return server, true
}

// Route is Server of the connection ID on a datagram's first record; false if
// that has none that a Routing describes, as the first ones of a handshake.
func (r *Router) Route(datagram []byte) (server uint64, ok bool) {
	return r.Server(InDatagram(datagram))
}

// Generator returns the Generator of one server, which makes IDs by the first
// Routing and knows the length of those by the others. There should be one for
// each number at a time: two know nothing of each other's nonces, nor does that
// of a restarted server of those before. What keeps their IDs apart is chance,
// for which NonceLen should be 8 or more.
//
// A Generator never makes an ID twice. After 256^NonceLen of them, which can be
// reached only where NonceLen is less than 8, New returns none (draft,
// Connection ID Entropy).
func (r *Router) Generator(server uint64) (Generator, error) {
	if r.newest == nil {
		return nil, errNoRouting
	}
	if n := r.newest.ServerLen; server>>(8*n) != 0 {
		return nil, fmt.Errorf("connectionid: the server's number %d does not fit into the %d bytes of Routing.ServerLen", server, n)
	}
	var key [16]byte
	rand.Read(key[:]) // never fails
	return &routable{Router: r, server: server, nonces: newNetwork(key, r.newest.NonceLen)}, nil
}

// routable makes the IDs of one server. Its nonces are a counter, so that none
// repeats, encrypted under a key that nobody else has: four passes are few
// enough that a nonce which can be guessed could tell an observer which IDs are
// from one server (draft, Distinguishing Attacks).
type routable struct {
	*Router
	server uint64
	made   atomic.Uint64
	nonces network
}

func (g *routable) New() []byte {
	made, by := g.made.Add(1)-1, g.newest
	if made>>(8*by.NonceLen) != 0 {
		return nil
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	nonce := s.text[:by.NonceLen]
	putNumber(nonce, made)
	g.nonces.encrypt(s)
	copy(s.text[by.ServerLen:], nonce)
	putNumber(s.text[:by.ServerLen], g.server)
	by.encrypt(s)

	id := make([]byte, 1+by.size)
	id[0] = by.Rotation<<5 | byte(by.size)
	copy(id[1:], s.text[:])
	return id
}

// putNumber fills b with a number, big-endian.
func putNumber(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
}
