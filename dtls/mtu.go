package dtls

import (
	"cmp"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// Engine.mtu is how large our datagrams are, at most. It goes down a ladder where large
// ones don't get through, as there is nobody to ask in a handshake; what asks the path
// afterwards is in pathmtu.go.

// firstMTU is what an association begins with.
func firstMTU(c *Config) int { return cmp.Or(c.MTU, handshake.DefaultMTU) }

// mtuLadder is what is tried where datagrams are too large: the default, which IPv6
// promises to carry, what IPv4 promises, and the least that we take.
var mtuLadder = [...]int{handshake.DefaultMTU, 548, handshake.MinMTU}

// stepBelow is the next step of the ladder below n bytes, if there is one that the peer's
// connection ID leaves room in.
func (e *Engine) stepBelow(n int) (mtu int, ok bool) {
	for _, step := range mtuLadder {
		if step < n && carries(step, e.ids.remote) {
			return step, true
		}
	}
	return 0, false
}

// sameSize is how often a flight is repeated before its datagrams become smaller.
// RFC 9147 4.4 has two or three times: where datagrams are lost by chance, more of
// them are lost of a flight that has more.
const sameSize = 3

// lowerMTU tries smaller datagrams when those that we sent were of no use: a path
// that drops large ones says nothing (RFC 9147 4.4). Where all were small, it isn't that.
// An MTU that was set is exact, but not one that was found.
//
// RFC 9147 4.4 [13]
func (e *Engine) lowerMTU() {
	if e.largest <= handshake.MinMTU || e.exactMTU && !e.searches() {
		return
	}
	if smaller, ok := e.stepBelow(e.mtu); ok {
		e.searchFrom(smaller)
	}
}

// shrink lowers the MTU because the socket refused a datagram of n bytes, and
// sends the flight again in smaller ones. Who searches for the MTU believes probes alone:
// the refusal may come of an ICMP message.
//
// RFC 9147 4.4 [6, 12]
func (e *Engine) shrink(n int) {
	if e.searches() {
		return
	}
	if smaller, ok := e.stepBelow(n); ok {
		e.mtu = smaller
		e.rewind()
	}
}

// SetMTU changes the largest datagram that is sent, in bytes, and keeps it
// exactly, as Config.MTU; nothing looks for another one any more (Config.MaxMTU). What is
// sent again is cut anew.
func (e *Engine) SetMTU(mtu int) error {
	if mtu < handshake.MinMTU {
		return &ConfigError{Field: "MTU", Reason: "below the minimum of 228"}
	}
	for _, id := range append([][]byte{e.ids.remote}, e.ids.spare...) {
		if !carries(mtu, id) {
			return &ConfigError{Field: "MTU", Reason: "too small beside the peer's connection ID"}
		}
	}
	e.mtu, e.exactMTU, e.search = mtu, true, nil
	return nil
}
