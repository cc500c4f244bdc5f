package capture

import "encoding/binary"

// The file format is that of pcap-savefile(5), with bare IPv4 packets in it.
// Checksums of UDP and TCP are left zero; readers don't mind.

const (
	linkRawIP = 101
	protoTCP  = 6
	protoUDP  = 17
)

func pcapHeader() []byte {
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4) // microseconds
	h = binary.LittleEndian.AppendUint16(h, 2)             // version 2.4
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...)              // time zone and accuracy, both unused
	h = binary.LittleEndian.AppendUint32(h, 1<<16) // longest packet
	return binary.LittleEndian.AppendUint32(h, linkRawIP)
}

func appendPacket(file []byte, p packet, transport []byte) []byte {
	size := uint32(20 + len(transport) + len(p.payload))
	file = binary.LittleEndian.AppendUint32(file, uint32(p.at.Unix()))
	file = binary.LittleEndian.AppendUint32(file, uint32(p.at.Nanosecond()/1000))
	file = binary.LittleEndian.AppendUint32(file, size) // captured
	file = binary.LittleEndian.AppendUint32(file, size) // on the wire
	proto := byte(protoUDP)
	if len(transport) == 20 {
		proto = protoTCP
	}
	file = append(file, ipv4Header(p, proto, uint16(size))...)
	file = append(file, transport...)
	return append(file, p.payload...)
}

// ipv4Header is RFC 791 3.1.
func ipv4Header(p packet, proto byte, size uint16) []byte {
	h := []byte{4<<4 | 5, 0} // version, header length in words; service
	h = binary.BigEndian.AppendUint16(h, size)
	h = append(h, 0, 0, 0, 0)      // identification, fragment
	h = append(h, 64, proto, 0, 0) // time to live; checksum, below
	h = append(h, p.from.Addr().AsSlice()...)
	h = append(h, p.to.Addr().AsSlice()...)
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return h
}

// udpHeader is RFC 768.
func udpHeader(p packet) []byte {
	h := binary.BigEndian.AppendUint16(nil, p.from.Port())
	h = binary.BigEndian.AppendUint16(h, p.to.Port())
	h = binary.BigEndian.AppendUint16(h, uint16(8+len(p.payload)))
	return append(h, 0, 0)
}

// tcpHeader is RFC 9293 3.1.
func tcpHeader(p packet, sequence, acknowledged uint32) []byte {
	h := binary.BigEndian.AppendUint16(nil, p.from.Port())
	h = binary.BigEndian.AppendUint16(h, p.to.Port())
	h = binary.BigEndian.AppendUint32(h, sequence)
	h = binary.BigEndian.AppendUint32(h, acknowledged)
	h = append(h, 5<<4, 0x18)             // header length in words; ACK, PSH
	h = append(h, 0xff, 0xff, 0, 0, 0, 0) // window; checksum, urgent
	return h
}
