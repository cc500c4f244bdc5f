package dtls

import (
	"math"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// amplification is how many bytes may go to an address that is not validated
// for each that came from it (RFC 9147 5.1 leaves the number open; QUIC's is
// three, RFC 9000 8).
const amplification = 3

// A budget bounds what goes to an address that nobody has validated, from a
// client that was let in without a cookie because it brings 0-RTT
// (RFC 9147 5.1): three times what came from there, until a record opens that
// only the client itself can have sent.
type budget struct {
	on             bool
	received, sent int // bytes
}

func (b *budget) receive(n int) {
	if b.on {
		b.received += n
	}
}

func (b *budget) send(n int) {
	if b.on {
		b.sent += n
	}
}

// left is how many bytes may go out. With less than the smallest MTU it is
// nothing: then there is room for whatever may be next.
//
// RFC 9147 5.1 [7]
func (b *budget) left() int {
	if !b.on {
		return math.MaxInt
	}
	if left := amplification*b.received - b.sent; left >= handshake.MinMTU {
		return left
	}
	return 0
}
