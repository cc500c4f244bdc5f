package dtls

import (
	"sync"
	"sync/atomic"
)

// A packet is a buffer for one datagram. Packets come in two sizes, so that
// what waits in a queue holds little more memory than it has bytes.
type packet struct {
	data []byte  // the datagram
	path Path    // that it came by
	room []byte  // the whole buffer
	next *packet // in a queue
}

// The sizes of packets, in bytes: what most paths carry, and one record of the
// largest size. A longer datagram is cut off, and what is cut is dropped.
const (
	smallPacket = 2048
	largePacket = headerSize12 + maxRecordBody + 2048
)

var smallPackets, largePackets = packetPool(smallPacket), packetPool(largePacket)

func packetPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &packet{room: make([]byte, size)} }}
}

// newPacket returns a packet with room for size bytes.
func newPacket(size int) *packet {
	if size <= smallPacket {
		return smallPackets.Get().(*packet)
	}
	if size <= largePacket {
		return largePackets.Get().(*packet)
	}
	return &packet{room: make([]byte, size)}
}

// release gives the packet back; nothing may refer to its bytes any more.
func (p *packet) release() {
	p.data = nil
	switch len(p.room) {
	case smallPacket:
		smallPackets.Put(p)
	case largePacket:
		largePackets.Put(p)
	}
}

// copyPacket returns a packet with a copy of a datagram.
func copyPacket(datagram []byte, from Path) *packet {
	p := newPacket(len(datagram))
	p.data, p.path = p.room[:copy(p.room, datagram)], from
	return p
}

// A queue holds packets in order.
type queue struct{ first, last *packet }

// add adds a copy of a datagram.
func (q *queue) add(datagram []byte, from Path) {
	p := copyPacket(datagram, from)
	if q.first == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
}

// take takes the first packet; nil if there is none.
func (q *queue) take() *packet {
	p := q.first
	if p != nil {
		q.first, p.next = p.next, nil
	}
	return p
}

// A mailbox is where datagrams wait for a Conn of a Listener. One goroutine puts them
// in; any may take them out.
type mailbox struct {
	packets chan *packet // nil once the handler gets what comes: see serve.go
	room    atomic.Int64 // bytes of their buffers
}

// How many datagrams wait for a Conn, and in how many bytes of buffers: more are dropped,
// as from a full socket buffer, of which this is the usual size.
const (
	maxQueue      = 64
	maxQueueSize  = 1 << 18
	maxFirstQueue = 1 << 17 // before the handshake is complete: for a flight, and data behind it
)

// put puts a packet in, or releases it if there is no room in so many bytes.
func (m *mailbox) put(p *packet, most int64) bool {
	size := int64(len(p.room))
	if m.room.Load()+size <= most {
		m.room.Add(size) // before it can be taken
		select {
		case m.packets <- p:
			return true
		default:
			m.room.Add(-size)
		}
	}
	p.release()
	return false
}

// take takes the oldest packet; nil if there is none.
func (m *mailbox) take() *packet {
	select {
	case p := <-m.packets:
		m.took(p)
		return p
	default:
		return nil
	}
}

// took notes that p was taken.
func (m *mailbox) took(p *packet) { m.room.Add(-int64(len(p.room))) }

func (m *mailbox) halfFull() bool {
	return len(m.packets) > maxQueue/2 || m.room.Load() > maxQueueSize/2
}
