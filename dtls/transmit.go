package dtls

import (
	"encoding/binary"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
)

// Pending reports whether Transmit has something to give.
func (e *Engine) Pending() bool {
	return e.speaks() || e.checksPath() || e.probes()
}

// speaks reports whether there is something for the path that we write to.
func (e *Engine) speaks() bool {
	return e.hasToSay() && e.budget.left() > 0 && !e.waitsForStore()
}

func (e *Engine) hasToSay() bool { return e.unsent() || e.ackDue || e.mayEnd() }

// mayEnd reports whether an alert is to be sent now. A goodbye waits until the Store has
// nothing more of the connection: it may go on elsewhere.
func (e *Engine) mayEnd() bool {
	return e.closing.due && (e.err != nil || e.reserve.forgotten())
}

// unsent reports whether this pass over our flight has something left. A flight
// goes out once it is whole, so that its datagrams can be filled: the signature
// in its middle may come late.
func (e *Engine) unsent() bool {
	_, ok := e.flight.Peek()
	return ok && e.flushed
}

// Transmit writes the next datagram into buf and returns its length, or 0 when
// there is none: ACKs, as much of the flight as fits, and last an alert. buf
// should have room for the MTU, and for Config.MaxMTU if that is set.
func (e *Engine) Transmit(buf []byte) int {
	n, _ := e.TransmitTo(buf)
	return n
}

// TransmitTo is Transmit with the path that the datagram goes to.
func (e *Engine) TransmitTo(buf []byte) (n int, to Path) { return e.transmit(datagram{e: e, buf: buf}) }

// transmitBefore is TransmitTo for a datagram that a record of data may follow in. If
// none does, endDatagram(0) says so.
func (e *Engine) transmitBefore(buf []byte) (n int, to Path) {
	return e.transmit(datagram{e: e, buf: buf, followed: true})
}

// transmit packs one datagram: what checks a path, which goes where it says, or
// what else there is to say, to the path that we write to, and last what probes that.
//
// RFC 9147 4 [6], 4.3 [3]
func (e *Engine) transmit(d datagram) (n int, to Path) {
	if e.checksPath() {
		n, to = e.transmitCheck(datagram{e: e, buf: d.buf[:min(len(d.buf), e.mtu)], followed: d.followed})
	}
	if n == 0 && e.speaks() {
		said := datagram{e: e, buf: d.buf[:min(len(d.buf), e.datagramSize(), e.budget.left())], followed: d.followed}
		said.pack()
		n, to = said.n, e.paths.current
		e.budget.send(n)
		e.largest = max(e.largest, n)
	}
	if n == 0 && !d.followed && e.probes() {
		n, to = e.transmitProbe(d.buf), e.paths.current
	}
	switch {
	case d.followed:
		e.followed = n
	case n > 0:
		e.endDatagram(n)
	}
	return n, to
}

// endDatagram notes that a datagram is complete: n bytes, behind those of transmitBefore.
func (e *Engine) endDatagram(n int) {
	e.stats.datagramsSent++
	e.traceDatagram(handshake.Sent, e.followed+n)
	e.followed = 0
}

// datagramSize is how large our datagrams may be: up to the MTU, but no larger
// than one record needs if the peer has said that it has room for small ones only.
// RFC 8449 4 would allow several of them in one datagram; GnuTLS then loses what is
// beyond, as it keeps a datagram where it keeps a record.
//
// RFC 9147 4.3 [2]
func (e *Engine) datagramSize() int {
	w := e.newest()
	limit := e.machine.SendLimit(w.number)
	if limit >= handshake.MaxPlaintext-1 {
		return e.mtu
	}
	return min(e.mtu, max(handshake.MinMTU, w.size(limit)))
}

// A datagram is packed record by record.
type datagram struct {
	e        *Engine
	buf      []byte // of the size that it may have
	n        int    // bytes so far
	followed bool   // by a record of somebody else's, maybe
	full     bool   // zeros fill what its record leaves
}

func (d *datagram) pack() {
	d.addACK()
	d.addFlight()
	d.addAlert()
}

// ends reports whether nothing is left to follow in this datagram.
func (d *datagram) ends() bool { return !d.followed && !d.e.unsent() && !d.e.mayEnd() }

// room is how many bytes of payload another record of w could have.
//
// RFC 9147 4.3 [1]
func (d *datagram) room(w *writeEpoch) int {
	if w.exhausted() {
		return -1
	}
	return min(w.room(len(d.buf)-d.n), d.e.machine.SendLimit(w.number))
}

// payload is where the next record of w has its payload.
func (d *datagram) payload(w *writeEpoch) []byte { return w.payload(d.buf[d.n:], w.form()) }

// finish makes a record of n bytes of payload.
//
// RFC 9147 4 [4]
func (d *datagram) finish(w *writeEpoch, kind protocol.ContentType, n int) bool {
	b, f := d.buf[d.n:], w.form()
	payload := w.payload(b, f)[:n]
	if d.ends() {
		f = w.lastForm() // the payload moves ahead, where there is no length
	}
	zeros := d.e.padding(w, n, len(b))
	if d.full {
		zeros = min(w.roomBehind(f, len(b)), d.e.machine.SendLimit(w.number)) - n
	}
	size, err := w.finish(b, f, kind, payload, zeros)
	if err != nil {
		if d.e.err == nil {
			d.e.fail(err)
		}
		return false
	}
	d.e.stats.sendRecord(size)
	d.e.resting = false
	d.e.traceRecord(handshake.Sent, kind, protocol.RecordNumber{Epoch: w.number, Sequence: w.next - 1}, size)
	d.n += size
	return true
}

// padding is how many zeros follow n bytes of payload in a record of w, which may
// take size bytes. It is no reason to send more than the path or the peer takes.
func (e *Engine) padding(w *writeEpoch, n, size int) int {
	if w.padding == 0 {
		return 0
	}
	size = min(size, max(e.mtu, w.size(n)))
	return record.Padding(n, w.padding, min(w.room(size), e.machine.SendLimit(w.number)))
}

// addACK acknowledges what was received, the newest if not all fit. What was
// acknowledged before is so again, as that ACK may be lost, until our next flight
// of the handshake says that we have it (RFC 9147 7).
//
// RFC 9147 7 [3]
func (d *datagram) addACK() {
	e, w := d.e, d.e.sharedEpoch()
	const lengthSize, numberSize = 2, 16
	most := (d.room(w) - lengthSize) / numberSize
	if !e.ackDue || most < 1 {
		return
	}
	e.ackDue = false
	ack := e.received.AppendMax(d.payload(w)[:0], most)
	e.traceSentACK(ack)
	d.finish(w, protocol.ACK, len(ack))
}

// addFlight packs what this pass over the flight has left. Records and
// datagrams are filled: a message is cut only where one ends.
//
// RFC 9147 4.2.1 [3]
func (d *datagram) addFlight() {
	for d.e.unsent() {
		epoch, _ := d.e.flight.Peek()
		w := d.e.writeEpoch(epoch)
		if d.e.version == protocol.VersionDTLS12 && epoch == 1 && !d.addChangeCipherSpec() {
			return
		}
		if !d.addParts(w) {
			return
		}
	}
}

// addChangeCipherSpec writes the ChangeCipherSpec that comes before Finished in
// 1.2, once in each pass over the flight, and reports whether it is out.
//
// RFC 6347 4.2.5 [1]
func (d *datagram) addChangeCipherSpec() bool {
	plain := d.e.writes[0]
	if !d.e.switched && d.room(plain) >= 1 {
		d.payload(plain)[0] = 1
		d.e.switched = d.finish(plain, protocol.ChangeCipherSpec, 1)
	}
	return d.e.switched
}

// addParts fills one record with parts of the flight, and reports whether
// there was room for any.
func (d *datagram) addParts(w *writeEpoch) bool {
	number := protocol.RecordNumber{Epoch: w.number, Sequence: w.next}
	room, n := d.room(w), 0
	for room-n >= fragment.HeaderSize {
		if epoch, ok := d.e.flight.Peek(); !ok || epoch != w.number {
			break
		}
		part, ok := d.e.flight.Next(room - n - fragment.HeaderSize)
		if !ok {
			break
		}
		h, size := putPart(d.payload(w)[n:], part)
		n += size
		d.e.flight.Sent(number, part)
		d.e.traceMessage(handshake.Sent, h)
	}
	if n == 0 {
		return false
	}
	d.e.measure.sent(number, d.e.repeats, d.e.now)
	return d.finish(w, protocol.Handshake, n)
}

// putPart writes header and bytes of one part, and returns their length.
func putPart(b []byte, p retransmit.Part) (fragment.Header, int) {
	whole := fragment.Header{
		Type:   p.Message[0],
		Length: len(p.Message) - fragment.HeaderSize,
		Seq:    binary.BigEndian.Uint16(p.Message[4:]),
	}
	h, body := fragment.Split(whole, p.Message[fragment.HeaderSize:], p.From, p.To-p.From)
	n := len(h.Append(b[:0]))
	return h, n + copy(b[n:], body)
}

// addAlert writes the alert that ends the association.
//
// RFC 9147 4.5.2 [2]
func (d *datagram) addAlert() {
	e, w := d.e, d.e.goodbyeEpoch()
	if !e.mayEnd() || d.room(w) < 2 || e.unsent() { // it must not overtake the flight
		return
	}
	e.closing.due = false
	level := byte(2)
	if e.err == nil {
		level = 1 // close_notify is a warning
	}
	p := d.payload(w)
	p[0], p[1] = level, byte(e.closing.alert)
	e.traceSentAlert()
	d.finish(w, protocol.Alert, 2)
}

// sharedEpoch is where ACKs and alerts go: the newest epoch that the peer can
// know (RFC 9147 7). Keys that come with a flight that isn't whole yet, or that fail
// has taken back, are only ours; in 1.2 its ChangeCipherSpec isn't out either.
//
// RFC 9147 7 [4, 6]
func (e *Engine) sharedEpoch() *writeEpoch {
	epoch, ok := e.flight.Peek()
	switch {
	case !ok || e.flushed:
		return e.newest()
	case !e.version.Is13():
		return e.writes[0]
	}
	return e.writeEpoch(epoch)
}

// goodbyeEpoch is where the last alert goes: as ACKs, but a server that closes
// before the handshake is over says so under the keys of the handshake. Under
// those of its data, which it has since its Finished, it would be the end of a
// conversation to a client that thinks that it has one.
func (e *Engine) goodbyeEpoch() *writeEpoch {
	if w := e.sharedEpoch(); e.err != nil || e.machine.Open() || !e.version.Is13() || w.number < handshake.LevelApplication {
		return w
	}
	return e.writeEpoch(handshake.LevelHandshake)
}

// writeEpoch finds the keys that a flight goes under.
func (e *Engine) writeEpoch(number uint64) *writeEpoch {
	for _, w := range e.writes {
		if w.number == number {
			return w
		}
	}
	return e.newest()
}
