package dtls

// A PacketKind is a protocol that may share a socket with DTLS.
type PacketKind uint8

const (
	UnknownPacket     PacketKind = iota // of no protocol, or empty: to be dropped
	STUNPacket                          // RFC 8489, with TURN's messages
	ZRTPPacket                          // RFC 6189
	DTLSPacket                          // for a Conn or an Engine
	TURNChannelPacket                   // ChannelData of TURN, RFC 8656 12.4
	QUICPacket                          // RFC 9000
	RTPPacket                           // RTP or SRTP
	RTCPPacket                          // RTCP or SRTCP, on the port of RTP
)

// Classify tells by its first byte which protocol a datagram is of (RFC 7983 7, RFC
// 9443 3), and by the second RTCP from RTP (RFC 5761 4). It says nothing about
// whether the rest is well formed.
func Classify(datagram []byte) PacketKind {
	if len(datagram) == 0 {
		return UnknownPacket
	}
	switch first := datagram[0]; {
	case first < 4:
		return STUNPacket
	case first < 16:
		return UnknownPacket
	case first < 20:
		return ZRTPPacket
	case first < 64:
		return DTLSPacket
	case first < 80:
		return TURNChannelPacket
	case first < 128:
		return QUICPacket
	case first < 192:
		return classifyMedia(datagram)
	}
	return QUICPacket
}

// classifyMedia looks at the packet type of RTCP, where RTP has its marker and
// payload type: those from 64 to 95 are left out there.
func classifyMedia(datagram []byte) PacketKind {
	if len(datagram) > 1 && datagram[1] >= 192 && datagram[1] < 224 {
		return RTCPPacket
	}
	return RTPPacket
}

var packetKindNames = [...]string{"unknown", "STUN", "ZRTP", "DTLS", "TURN channel", "QUIC", "RTP", "RTCP"}

func (k PacketKind) String() string {
	if int(k) < len(packetKindNames) {
		return packetKindNames[k]
	}
	return packetKindNames[UnknownPacket]
}
