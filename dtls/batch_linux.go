package dtls

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux reads and writes several messages by one call (recvmmsg, sendmmsg), and each
// message may be a run of datagrams (UDP_GRO, UDP_SEGMENT). What of it the system has
// turns out when a socket is made, or when it is used.
//
// The calls go through the socket's RawConn, which waits and knows deadlines. A buffer
// is taken from a pool when there is something to read, so that who waits holds none.

// batching is what a socket has for it.
type batching struct {
	raw      syscall.RawConn // nil: one by one
	ipv6     bool            // addresses are, those of IPv4 mapped
	segments atomic.Bool     // runs can be written as one message

	// Only the reading goroutine uses these.
	tryRead func(fd uintptr) (done bool)
	in      *batch
	errno   syscall.Errno
	zones   map[uint32]string // names of interfaces, by number
}

const (
	// maxMessages is how many messages one call reads or writes.
	maxMessages = 16
	// slotSize is the room for one message that is read, in bytes: as much as one
	// can have, and so much more that the slots' beginnings don't share lines of the
	// processor's caches.
	slotSize = 1<<16 + 1280
	// nameSize and controlSize are the most that a message's address and control
	// messages have.
	nameSize    = unix.SizeofSockaddrInet6
	controlSize = 128
)

// messages are what the calls are about. Alignment asks for this order.
type messages struct {
	headers  [maxMessages]header
	vectors  [maxMessages]unix.Iovec
	controls [maxMessages][controlSize]byte
	names    [maxMessages][nameSize]byte
}

// A header is struct mmsghdr.
type header struct {
	unix.Msghdr
	size uint32 // of what was read or written
}

// startBatching finds out whether the system has the calls.
func (s *socket) startBatching() bool {
	if s.udp == nil {
		return false
	}
	raw, err := s.udp.SyscallConn()
	if err != nil {
		return false
	}
	works := false
	err = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil || !has(unix.SYS_RECVMMSG, fd) || !has(unix.SYS_SENDMMSG, fd) {
			return
		}
		works, s.ipv6 = true, domain == unix.AF_INET6
		unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) // or every message is one datagram
		s.segments.Store(unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil)
	})
	if err != nil || !works {
		return false
	}
	s.raw, s.tryRead = raw, s.tryReadBatch
	return true
}

// has reports whether the system lets us make a call, by making it for no messages.
func has(call, fd uintptr) bool {
	_, _, errno := unix.Syscall6(call, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno == 0
}

func (s *socket) batches() bool { return s.raw != nil }

// --- Reading

var readBatches sync.Pool

func newReadBatch() *batch {
	b := &batch{room: make([]byte, maxMessages*slotSize), pool: &readBatches}
	for i := range b.headers {
		b.vectors[i].Base = &b.room[i*slotSize]
		b.vectors[i].SetLen(slotSize)
		b.prepare(i)
	}
	return b
}

// prepare makes a message ready to be read.
func (b *batch) prepare(i int) {
	h := &b.headers[i]
	h.Name, h.Namelen = &b.names[i][0], nameSize
	h.Iov = &b.vectors[i]
	h.SetIovlen(1)
	h.Control = &b.controls[i][0]
	h.SetControllen(controlSize)
}

func (s *socket) readBatch() (*batch, error) {
	if err := s.raw.Read(s.tryRead); err != nil {
		return nil, err
	}
	if s.errno != 0 {
		return nil, &net.OpError{Op: "read", Net: "udp", Source: s.udp.LocalAddr(), Addr: s.udp.RemoteAddr(), Err: os.NewSyscallError("recvmmsg", s.errno)}
	}
	in := s.in
	s.in = nil
	return in, nil
}

// tryReadBatch reads what is there.
func (s *socket) tryReadBatch(fd uintptr) (done bool) {
	in, ok := readBatches.Get().(*batch)
	switch {
	case !ok && !hasInput(fd): // no reason to make one
		return false
	case !ok:
		in = newReadBatch()
	}
	n, errno := in.call(unix.SYS_RECVMMSG, fd, maxMessages)
	if s.errno = errno; errno != 0 {
		in.release()
		return errno != unix.EAGAIN
	}
	s.in, in.full = in, n == maxMessages
	for i := range n {
		s.arrived(in, i)
		in.prepare(i)
	}
	return true
}

// hasInput reports whether there is something to read, or an error.
func hasInput(fd uintptr) bool {
	asked := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(asked[:], 0)
	return n > 0 || err != nil
}

// call makes a call for the first n messages, and returns for how many it succeeded.
func (m *messages) call(call, fd uintptr, n int) (int, syscall.Errno) {
	for {
		done, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&m.headers)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(done), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// arrived makes a run of a message that was read.
func (s *socket) arrived(in *batch, i int) {
	h := &in.headers[i]
	size := int(h.size)
	r := run{data: in.room[i*slotSize:][:size], size: max(size, 1)}
	if !s.connected {
		r.path.Remote = s.sender(&in.names[i])
	}
	for rest := in.controls[i][:h.Controllen]; len(rest) > 0; {
		kind, data, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		if kind.Level == unix.IPPROTO_UDP && kind.Type == unix.UDP_GRO && len(data) >= 4 {
			r.size = int(binary.NativeEndian.Uint32(data))
		} else if s.tellsLocal && (kind.Level == unix.IPPROTO_IP || kind.Level == unix.IPPROTO_IPV6) {
			if local := s.local(rest[:len(rest)-len(after)]); local.IsValid() {
				r.path.Local = local
			}
		}
		rest = after
	}
	in.runs = append(in.runs, r)
}

// sender reads the address of a message, struct sockaddr_in or sockaddr_in6.
func (s *socket) sender(name *[nameSize]byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(name[2:])
	if !s.ipv6 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), port)
	}
	address := netip.AddrFrom16([16]byte(name[8:24])).Unmap()
	if scope := binary.NativeEndian.Uint32(name[24:]); scope != 0 {
		address = address.WithZone(s.zone(scope))
	}
	return netip.AddrPortFrom(address, port)
}

// zone is the name of an interface, or its number if it has none.
func (s *socket) zone(number uint32) string {
	if name, known := s.zones[number]; known {
		return name
	}
	name := strconv.Itoa(int(number))
	if i, err := net.InterfaceByIndex(int(number)); err == nil {
		name = i.Name
	}
	if s.zones == nil || len(s.zones) == maxAddresses {
		s.zones = map[uint32]string{}
	}
	s.zones[number] = name
	return name
}

// --- Writing

// A sending is one call that writes. Any number of them may be under way.
type sending struct {
	messages
	datagrams [maxMessages]int // of each message
	n         int              // messages
	sent      int              // of them
	errno     syscall.Errno
	try       func(fd uintptr) (done bool)
}

var sendings = sync.Pool{New: func() any {
	w := new(sending)
	w.try = w.tryWrite
	return w
}}

func (w *sending) tryWrite(fd uintptr) (done bool) {
	w.sent, w.errno = w.call(unix.SYS_SENDMMSG, fd, w.n)
	return w.errno != unix.EAGAIN
}

// writeBatch sends the first of runs and returns how many datagrams that were; none if
// it can't.
func (s *socket) writeBatch(runs []run) (sent int) {
	if s.raw == nil {
		return 0
	}
	w := sendings.Get().(*sending)
	defer w.release()
	s.fill(w, runs)
	if w.n == 0 || s.raw.Write(w.try) != nil {
		return 0
	}
	if w.errno == unix.EIO { // the interface has no checksums, which segments need
		s.segments.Store(false)
	}
	for _, n := range w.datagrams[:w.sent] {
		sent += n
	}
	return sent
}

func (w *sending) release() {
	clear(w.vectors[:w.n]) // the datagrams are somebody else's
	w.n, w.sent = 0, 0
	sendings.Put(w)
}

// fill makes messages of runs, as many as there is room for.
func (s *socket) fill(w *sending, runs []run) {
	together := s.segments.Load()
	for _, r := range runs {
		if to := r.path.Remote.Addr(); !s.connected && (to.Zone() != "" || !s.ipv6 && !to.Is4()) {
			return // net knows the number of an interface, and what is wrong
		}
		size := r.size
		if together {
			size = len(r.data)
		}
		for rest := r.data; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if w.n == maxMessages {
				return
			}
			s.put(w, rest[:min(size, len(rest))], r)
		}
	}
}

// put makes a message of one or all of a run's datagrams.
func (s *socket) put(w *sending, data []byte, of run) {
	i := w.n
	h := &w.headers[i]
	w.vectors[i].Base = &data[0]
	w.vectors[i].SetLen(len(data))
	h.Iov = &w.vectors[i]
	h.SetIovlen(1)
	h.Name, h.Namelen = nil, 0
	if !s.connected {
		h.Name = &w.names[i][0]
		h.Namelen = s.putReceiver(&w.names[i], of.path.Remote)
	}
	control := w.controls[i][:0]
	if len(data) > of.size {
		control = appendSegmentSize(control, of.size)
	}
	if of.path.Local.IsValid() {
		control = append(control, s.source(of.path.Local)...)
	}
	h.Control = nil
	if len(control) > 0 {
		h.Control = &control[0]
	}
	h.SetControllen(len(control))
	w.datagrams[i] = (len(data) + of.size - 1) / of.size
	w.n++
}

// putReceiver writes an address without a zone, and returns its length.
func (s *socket) putReceiver(name *[nameSize]byte, to netip.AddrPort) uint32 {
	clear(name[:])
	binary.BigEndian.PutUint16(name[2:], to.Port())
	if !s.ipv6 {
		binary.NativeEndian.PutUint16(name[:], unix.AF_INET)
		address := to.Addr().As4()
		copy(name[4:], address[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(name[:], unix.AF_INET6)
	address := to.Addr().As16()
	copy(name[8:], address[:])
	return unix.SizeofSockaddrInet6
}

// appendSegmentSize appends the control message that says how long the datagrams of a
// message are.
func appendSegmentSize(b []byte, size int) []byte {
	at := len(b)
	b = b[:at+unix.CmsgSpace(2)]
	clear(b[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[at+unix.CmsgLen(0):], uint16(size))
	return b
}
