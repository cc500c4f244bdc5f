package dtls

import "sync"

// A packet is a buffer for one datagram. Packets come in two sizes, so that
// what waits in a queue holds little more memory than it has bytes.
type packet struct {
	data []byte // the datagram
	path Path   // that it came by
	room []byte // the whole buffer
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
