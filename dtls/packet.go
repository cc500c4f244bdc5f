package dtls

import "sync"

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
