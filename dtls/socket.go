package dtls

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A socket reads and writes the datagrams of a Listener, or of a Conn whose link is
// a *net.UDPConn. On that this doesn't allocate, and where the system can, many
// datagrams are read and written by one call (batch_linux.go); other PacketConns may
// allocate, and are asked for nothing but ReadFrom and WriteTo with a *net.UDPAddr.
//
// A host may have many addresses. A *net.UDPConn that is bound to none of them
// tells with each datagram which one it came to, and answers from there: the
// client's own socket would take no answer from elsewhere.
//
// RFC 9147 4.4 [8]
type socket struct {
	pc  net.PacketConn
	udp *net.UDPConn // pc, if it is one

	connected  bool // to the one peer
	tellsLocal bool // control messages come with each datagram
	batching

	// Only the reading goroutine uses these.
	control [128]byte
	locals  map[string]netip.Addr // by the control messages that told it
	single  *batch                // where datagrams are read one by one

	mu      sync.RWMutex
	sources map[netip.Addr][]byte // the control messages that choose a source
}

// maxAddresses bounds what a socket remembers of its own addresses. A host may
// have more: where a whole prefix is routed to it, clients choose. Then some
// are worked out again.
const maxAddresses = 256

// errUnreadable is why a datagram is dropped whose sender has no IP address.
var errUnreadable = errors.New("dtls: datagram from an address that is not a *net.UDPAddr")

func newSocket(pc net.PacketConn) *socket {
	s := &socket{pc: pc}
	s.udp, _ = pc.(*net.UDPConn)
	bound, ok := pc.LocalAddr().(*net.UDPAddr)
	if s.udp == nil || !ok || !bound.IP.IsUnspecified() {
		s.startBatching()
		return s
	}
	// Which of the two works depends on the socket's family; on dual-stack
	// sockets some systems need both. Windows has neither.
	err4 := ipv4.NewPacketConn(s.udp).SetControlMessage(ipv4.FlagDst, true)
	err6 := ipv6.NewPacketConn(s.udp).SetControlMessage(ipv6.FlagDst, true)
	s.tellsLocal = err4 == nil || err6 == nil
	s.locals = make(map[string]netip.Addr)
	s.sources = make(map[netip.Addr][]byte)
	s.startBatching()
	return s
}

// connectedSocket is the socket of a Conn; nil if it has no more to offer than c.
func connectedSocket(c net.Conn) *socket {
	udp, ok := c.(*net.UDPConn)
	if !ok || udp.RemoteAddr() == nil {
		return nil
	}
	s := &socket{pc: udp, udp: udp, connected: true}
	if !s.startBatching() {
		return nil
	}
	return s
}

// A batch is what one call has read. It has buffers of its own, until it is released.
type batch struct {
	runs []run
	full bool // there may be more to read
	room []byte
	messages
	pool *sync.Pool // nil: it's the socket's own
}

func (b *batch) release() {
	b.runs = b.runs[:0]
	if b.pool != nil {
		b.pool.Put(b)
	}
}

// receive waits for the next datagrams; one goroutine may read at a time. Its errors
// are those of read.
func (s *socket) receive() (*batch, error) {
	if s.batches() {
		return s.readBatch()
	}
	if s.single == nil {
		s.single = &batch{room: make([]byte, largePacket)}
	}
	n, p, err := s.read(s.single.room)
	s.single.runs = append(s.single.runs[:0], run{s.single.room[:n], max(n, 1), p})
	return s.single, err
}

// send sends runs until a datagram can't be sent, and returns what is left from that
// one on. Its error is that of write. The runs are used up.
func (s *socket) send(runs []run) (rest []run, err error) {
	for len(runs) > 0 {
		sent := s.writeBatch(runs)
		if sent == 0 { // what the system refuses together may go alone
			r := &runs[0]
			if err := s.write(r.data[:min(r.size, len(r.data))], r.path); err != nil {
				return runs, err
			}
			sent = 1
		}
		runs = skip(runs, sent)
	}
	return nil, nil
}

func (s *socket) localAddr() net.Addr { return s.pc.LocalAddr() }
func (s *socket) close() error        { return s.pc.Close() }

// read waits for the next datagram; one goroutine may read at a time. Of a
// datagram that is larger than b, what doesn't fit is lost, or all of it and the
// error is transient. So is the error for a datagram whose sender's address is
// neither a *net.UDPAddr nor has a method AddrPort as it has.
func (s *socket) read(b []byte) (n int, p Path, err error) {
	switch {
	case s.udp == nil:
		var from net.Addr
		if n, from, err = s.pc.ReadFrom(b); err == nil {
			p.Remote, err = readable(from)
		}
	case s.tellsLocal:
		var controlSize int
		n, controlSize, _, p.Remote, err = s.udp.ReadMsgUDPAddrPort(b, s.control[:])
		if err == nil {
			p.Local = s.local(s.control[:controlSize])
		}
	default:
		n, p.Remote, err = s.udp.ReadFromUDPAddrPort(b)
	}
	if err != nil {
		return 0, Path{}, err
	}
	p.Remote = unmap(p.Remote)
	return n, p, nil
}

// write sends one datagram to p.Remote, from p.Local if that is known. Any
// number of goroutines may write.
func (s *socket) write(b []byte, p Path) (err error) {
	switch {
	case s.connected:
		_, err = s.udp.Write(b)
	case s.udp == nil:
		_, err = s.pc.WriteTo(b, net.UDPAddrFromAddrPort(p.Remote))
	case p.Local.IsValid():
		_, _, err = s.udp.WriteMsgUDPAddrPort(b, s.source(p.Local), p.Remote)
		if !sourceRefused(err) {
			break
		}
		// What came to a broadcast or multicast address can't be answered from
		// there, and an address may be taken from the host at any time.
		fallthrough
	default:
		_, err = s.udp.WriteToUDPAddrPort(b, p.Remote)
	}
	return err
}

// local returns the address that the datagram with these control messages came
// to. They are the same for every datagram to one address by one interface, so
// that parsing them, which allocates, is rare.
func (s *socket) local(control []byte) netip.Addr {
	local, known := s.locals[string(control)]
	if !known {
		local = parseLocal(control)
		if len(s.locals) == maxAddresses {
			clear(s.locals)
		}
		s.locals[string(control)] = local
	}
	return local
}

// source returns the control message that lets a datagram leave from local.
func (s *socket) source(local netip.Addr) []byte {
	s.mu.RLock()
	control, known := s.sources[local]
	s.mu.RUnlock()
	if !known {
		control = marshalSource(local)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.sources) == maxAddresses {
			clear(s.sources)
		}
		s.sources[local] = control
	}
	return control
}

// parseLocal reads the destination of a datagram from its control messages; it
// is invalid if they don't tell. An IPv4 datagram on a dual-stack socket has its
// destination in an IPv6 message, mapped, on most systems.
func parseLocal(control []byte) netip.Addr {
	var v4 ipv4.ControlMessage
	if err := v4.Parse(control); err == nil && v4.Dst != nil {
		local, _ := netip.AddrFromSlice(v4.Dst)
		return local
	}
	var v6 ipv6.ControlMessage
	if err := v6.Parse(control); err != nil {
		return netip.Addr{}
	}
	local, _ := netip.AddrFromSlice(v6.Dst)
	local = local.Unmap()
	if local.IsLinkLocalUnicast() {
		local = local.WithZone(strconv.Itoa(v6.IfIndex)) // nothing happens to IPv4
	}
	return local
}

// marshalSource returns the control message that makes local the source. It
// leaves the interface to the routing table, since the way back may be another
// one, except that a link-local address means nothing without its interface.
func marshalSource(local netip.Addr) []byte {
	if local.Is4() {
		return (&ipv4.ControlMessage{Src: local.AsSlice()}).Marshal()
	}
	source := ipv6.ControlMessage{Src: local.AsSlice()}
	source.IfIndex, _ = strconv.Atoi(local.Zone()) // no zone: 0, any interface
	return source.Marshal()
}

// readable returns the IP address and port of a net.Addr that has them, as a
// *net.UDPAddr does.
func readable(a net.Addr) (netip.AddrPort, error) {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		if ap := a.AddrPort(); ap.IsValid() {
			return unmap(ap), nil
		}
	}
	return netip.AddrPort{}, errUnreadable
}

// unmap takes an IPv4 address out of its mapped IPv6 form ::ffff:192.0.2.1, in
// which dual-stack sockets give it.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// transient reports whether an error of reading or writing concerns one
// datagram only: the caller counts it and goes on. Most come from ICMP messages
// and from the local firewall. ICMP isn't authenticated, so that ending an
// association for it would let anyone end it; and what is unreachable now may be
// reachable before the retransmissions give up. Datagrams that are too large,
// for the way or for the buffer, are transient too: ask tooBig first after
// writing.
func transient(err error) bool {
	return errors.Is(err, errUnreadable) ||
		errors.Is(err, io.ErrShortBuffer) || // virtual networks, instead of cutting off
		tooBig(err) || networkFault(err)
}
