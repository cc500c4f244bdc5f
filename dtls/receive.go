package dtls

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A received record goes through four gates, and only behind the last may
// anything change:
//
//	header --> epoch --> window.Fresh --> open --> window.Mark --> dispatch
//
// What stops at a gate is dropped and counted (RFC 9147 4.5.2). 1.3 encrypts the
// number, and asks window.Fresh after open, so that nobody learns the number from the
// time that it takes (RFC 9147 4.5.1).
//
// Epoch 0 has no keys: it counts as opened until a record of the peer has really been
// opened. After that it could only repeat what is known, and anybody could have sent
// it. It has no window: a forged high number would shut it, and message_seq removes
// duplicates.

// receiveRecord takes the first record off a datagram. Its error ends the
// association.
//
// RFC 9147 4 [3], 4.1 [1]; RFC 9146 3 [5]
func (e *Engine) receiveRecord(in []byte) (rest []byte, err error) {
	if isUnified(in[0]) {
		return e.receiveUnified(in)
	}
	if protocol.ContentType(in[0]) == protocol.ConnectionID {
		return e.receiveIdentified12(in)
	}
	var h header12
	rest, ok := h.parse(in, 0)
	switch {
	case !ok || h.version != protocol.VersionDTLS12 && h.version != protocol.VersionDTLS10:
		return nil, e.drop(dropHeader)
	case h.number.Epoch == 0:
		return rest, e.receivePlain(h)
	case h.version != protocol.VersionDTLS12: // 1.0 is lawful on a first hello only
		return rest, e.drop(dropHeader)
	case e.version != protocol.VersionDTLS12:
		return rest, e.drop(dropEpoch)
	case e.ids.expected(): // RFC 9146 3
		return rest, e.drop(dropConnectionID)
	}
	r := e.readEpoch(h.number.Epoch)
	if r == nil {
		return rest, e.hold(in[:len(in)-len(rest)])
	}
	return rest, e.receive12(&h, r, nil)
}

// receiveUnified takes a record of 1.3 off a datagram. Each datagram carries our
// connection ID if there is one (RFC 9147 4), at least on its first record; 0-RTT
// was written before the client knew it.
//
// RFC 9147 4 [7], 4.1 [3], 9.1 [1]
func (e *Engine) receiveUnified(in []byte) (rest []byte, err error) {
	used, id := -1, []byte(nil)
	if hasID(in[0]) {
		if used = e.ids.find(in[1:]); used < 0 {
			return nil, e.drop(dropConnectionID)
		}
		id, e.ids.here = e.ids.local[used], true
	}
	h, ok := parseHeader13(in, len(id))
	if !ok || e.version != 0 && !e.version.Is13() {
		return nil, e.drop(dropHeader)
	}
	record, rest := in[:h.end], in[h.end:]
	r := e.readEpochByBits(in[0] & epochBits)
	switch {
	case r == nil:
		return rest, e.hold(record)
	case e.ids.expected() && !e.ids.here && !r.isEarly():
		return rest, e.drop(dropConnectionID)
	}
	return rest, e.receive13(record, h, r, used)
}

// receiveIdentified12 takes a record of type tls12_cid off a datagram (RFC 9146 4).
func (e *Engine) receiveIdentified12(in []byte) (rest []byte, err error) {
	used := -1
	if len(in) >= headerSize12 {
		used = e.ids.find(in[idAt12:])
	}
	if used < 0 {
		return nil, e.drop(dropConnectionID)
	}
	id := e.ids.local[used]
	var h header12
	rest, ok := h.parse(in, len(id))
	switch {
	case !ok || h.version != protocol.VersionDTLS12:
		return nil, e.drop(dropHeader)
	case e.version != protocol.VersionDTLS12 || h.number.Epoch == 0:
		return rest, e.drop(dropEpoch)
	}
	r := e.readEpoch(h.number.Epoch)
	if r == nil {
		return rest, e.hold(in[:len(in)-len(rest)])
	}
	return rest, e.receive12(&h, r, id)
}

// maxHeld is as much as a datagram has on most paths, in bytes.
const maxHeld = 1 << 11

// hold keeps the records that may be ahead of us while a step waits for outside
// work: those with Finished of 1.2, in the datagram of the messages that make
// its keys, even if it comes byte by byte; or the first data of 1.3, in that of
// Finished. They haven't been opened, so there is room for no more. Each stands
// behind its length in two bytes: its own header may have none.
//
// RFC 9147 6.1 [1]
func (e *Engine) hold(record []byte) error {
	if e.current == nil || len(e.held)+2+len(record) > maxHeld {
		return e.drop(dropEpoch)
	}
	e.held.add(record)
	return nil
}

// receiveHeld takes the records that were held, once nothing waits.
func (e *Engine) receiveHeld() (err error) {
	if e.current != nil {
		return nil
	}
	rest := e.held
	e.held, e.paths.from = nil, e.paths.current // wherever the last datagram came from
	for record, ok := rest.next(); ok && err == nil; record, ok = rest.next() {
		_, err = e.receiveRecord(record)
	}
	return err
}

// receivePlain takes a record of epoch 0.
//
// RFC 9147 4.1 [4]; RFC 6347 4.1 [2, 3]
func (e *Engine) receivePlain(h header12) error {
	switch {
	case len(h.body) > e.machine.ReceiveLimit(handshake.LevelPlain): // no reason for an alert, RFC 6066 4
		return e.drop(dropHeader)
	case e.authenticated:
		return e.drop(dropPlaintext)
	}
	e.stats.receiveRecord()
	e.traceRecord(handshake.Received, h.kind, h.number, headerSize12+len(h.body))
	return e.dispatch(h.kind, h.number, h.body)
}

// receive12 opens a record of 1.2 (RFC 6347 4.1.2), with its connection ID if it
// has one (RFC 9146 5).
//
// RFC 6347 4.1.2.6 [3, 4, 7]
func (e *Engine) receive12(h *header12, r *readEpoch, id []byte) error {
	switch {
	case len(h.body) > maxRecordBody+2048: // RFC 5246 6.2.3
		return e.drop(dropHeader)
	case !r.window.Fresh(h.number.Sequence):
		return e.drop(dropReplay)
	}
	length := r.opener.PlaintextLen(len(h.body))
	r.additional = appendAdditional12(r.additional[:0], h.kind, h.number, id, length)
	plaintext, err := r.opener.Open(h.body, r.additional, number12(h.number))
	if err != nil {
		return e.dropUnopened(r)
	}
	size := headerSize12 + len(id) + len(h.body)
	e.accept(r, h.number.Sequence, 0, size)
	return e.deliverRecord(r, h.kind, h.number, plaintext, size)
}

// receive13 opens a record of 1.3 (RFC 9147 4). It carries the connection ID of
// ours that used says, or none.
//
// RFC 9147 4.5.1 [3, 4]
func (e *Engine) receive13(record []byte, h header13, r *readEpoch, used int) error {
	header, body, hidden := record[:h.body:h.body], record[h.body:], h.numberIn(record)
	switch {
	case len(body) > maxRecordBody+256: // RFC 9846 5.2
		return e.drop(dropHeader)
	case !r.mask.Apply(hidden, body):
		return e.drop(dropHeader)
	}
	number := protocol.RecordNumber{Epoch: r.number, Sequence: rebuild(hidden, r.expects())}
	if r.lost() {
		number.Sequence = r.seek(header, body, number.Sequence, len(hidden))
	}
	inner, err := r.opener.Open(body, header, number.Sequence)
	switch {
	case err != nil:
		return e.dropUnopened(r)
	case !r.window.Fresh(number.Sequence):
		return e.drop(dropReplay)
	}
	e.accept(r, number.Sequence, used, len(record))
	return e.deliverRecord(r, protocol.ConnectionID, number, inner, len(record))
}

// deliverRecord takes the content of a record of size bytes that has opened. Where its
// type says ConnectionID, as all of 1.3 do, the content's own is encrypted with it.
func (e *Engine) deliverRecord(r *readEpoch, kind protocol.ContentType, n protocol.RecordNumber, content []byte, size int) (err error) {
	length := len(content)
	if kind == protocol.ConnectionID {
		length--
	}
	if most := e.machine.ReceiveLimit(n.Epoch); length > most { // content and padding, RFC 9846 5.4
		return alert.Peerf(alert.RecordOverflow, "%w: record %v has %d bytes, more than %d", alert.PlaintextTooLong, n, length, most)
	}
	if kind == protocol.ConnectionID {
		if kind, content, err = unwrap(content); err != nil {
			return err
		}
	}
	e.stats.receiveRecord()
	e.traceRecord(handshake.Received, kind, n, size)
	if n.Sequence >= r.limit {
		return e.park(kind, n, content)
	}
	return e.dispatch(kind, n, content)
}

// accept notes that a record of size bytes has opened, which carries the
// connection ID that used says.
//
// RFC 9147 4.5.1 [6]
func (e *Engine) accept(r *readEpoch, sequence uint64, used, size int) {
	newest := e.ids.expected() && (!r.opened || sequence > r.window.Highest()) && e.latest(r)
	r.window.Mark(sequence)
	r.opened, r.heard, r.failures, e.resting = true, true, r.opener.Failed(), false
	if r.isEarly() {
		return // anybody may have sent it again: the peer shows itself by others
	}
	e.authenticated, e.budget.on = true, false
	if e.early.reads && r.number >= handshake.LevelApplication {
		e.dropEarly()
	}
	if newest {
		e.ids.noteUse(used)
		e.observe(size)
	}
}

// dropUnopened drops a record that did not open. Near the AEAD's integrity limit
// the peer is asked to change its keys; at the limit an old epoch ends, and with the
// newest the association (RFC 9147 4.5.3).
//
// RFC 9147 4.5.3 [4, 5]; RFC 6347 4.1.2.1 [2]
func (e *Engine) dropUnopened(r *readEpoch) error {
	switch {
	case r.opener.LimitReached() && (r.isEarly() || !r.dies.IsZero()):
		r.dies = e.now
	case r.opener.LimitReached():
		return alert.Localf(alert.BadRecordMAC, "too many records of epoch %d did not open: the AEAD's integrity limit is reached", r.number)
	case r.opener.NearLimit() && r.dies.IsZero() && !r.replacing && !e.config.DisableKeyUpdate:
		r.replacing = true
		e.KeyUpdate(message.Requested, e.now) // where it isn't possible, the limit is the end
	}
	e.drop(dropAuthentication)
	if e.resting {
		r.rest() // whom a forgery has woken
	}
	return e.err
}

// readEpoch finds the keys of an epoch that can still be read.
func (e *Engine) readEpoch(number uint64) *readEpoch {
	for _, r := range e.reads {
		if r.number == number && e.readable(r) {
			return r
		}
	}
	return nil
}

// readable reports whether an epoch can still be read: for its time, and as long as it is
// needed.
func (e *Engine) readable(r *readEpoch) bool {
	return r.dies.IsZero() || e.now.Before(r.dies) || e.needed(r)
}

// needed reports whether an epoch is the one before the newest, of which no record has
// opened yet. As long as the ACK of the peer's KeyUpdate doesn't get through, it knows no
// other keys (RFC 9147 8).
//
// RFC 9147 8 [4]
func (e *Engine) needed(r *readEpoch) bool {
	newest := e.reads[len(e.reads)-1]
	return r.number >= handshake.LevelApplication && r.number+1 == newest.number && !newest.heard && !r.opener.LimitReached()
}

// latest reports whether no record of a later epoch has opened: the peer writes in r, as
// far as we know.
func (e *Engine) latest(r *readEpoch) bool {
	return !slices.ContainsFunc(e.reads, func(later *readEpoch) bool { return later.number > r.number && later.heard })
}

// readEpochByBits finds the newest such epoch with these low bits.
//
// RFC 9147 4.2.2 [3], 8 [3]
func (e *Engine) readEpochByBits(low byte) *readEpoch {
	for i := len(e.reads) - 1; i >= 0; i-- {
		if r := e.reads[i]; byte(r.number)&epochBits == low && r.mask != nil && e.readable(r) {
			return r
		}
	}
	return nil
}

// dispatch takes the content of a record that opened, or of epoch 0.
func (e *Engine) dispatch(kind protocol.ContentType, n protocol.RecordNumber, body []byte) error {
	switch kind {
	case protocol.Handshake:
		return e.receiveHandshake(n, body)
	case protocol.ApplicationData:
		return e.receiveData(n, body)
	case protocol.Alert:
		return e.receiveAlert(n, body)
	case protocol.ChangeCipherSpec:
		return e.receiveChangeCipherSpec(n, body)
	case protocol.ACK:
		return e.receiveACK(n, body)
	case protocol.ReturnRoutability:
		if e.machine.ChecksPaths() && n.Epoch > 0 {
			return e.receiveReturnRoutability(n, body)
		}
	}
	return alert.Peerf(alert.UnexpectedMessage, "%w: %v of %v", alert.UnexpectedRecord, n, kind)
}

// receiveData takes application data. In 1.2 it may overtake Finished, which is
// nobody's fault; before that check of the handshake it is never delivered.
//
// RFC 9147 5.8.1 [3], 5.10 [4]; RFC 6347 4.2.4 [2]
func (e *Engine) receiveData(n protocol.RecordNumber, body []byte) error {
	switch {
	case n.Epoch == 0:
		return alert.Peerf(alert.UnexpectedMessage, "%w: application data without protection", alert.UnexpectedRecord)
	case e.version.Is13() && n.Epoch == handshake.LevelEarly:
		return e.receiveEarly(body)
	case e.version.Is13() && n.Epoch < handshake.LevelApplication:
		return alert.Peerf(alert.UnexpectedMessage, "%w: application data under handshake keys, in epoch %d", alert.UnexpectedRecord, n.Epoch)
	case !e.machine.Open():
		return e.drop(dropEarly)
	case e.closing.received:
		return e.drop(dropClosed)
	}
	if !e.heard {
		e.heard = true
		e.heardOf()
	}
	if len(body) > 0 {
		e.inbox.add(body)
	}
	return nil
}

// heardOf notes that the peer has spoken under the keys of an open connection. In 1.2
// that says that it has our last flight, which nothing else does.
func (e *Engine) heardOf() {
	if e.machine.Open() && !e.version.Is13() {
		e.confirmed()
	}
}

// receiveAlert takes an alert (RFC 9846 6): level, then description. A goodbye
// under keys of the handshake says that the peer gives it up; in 1.2, which has
// no others, it may have overtaken Finished.
//
// RFC 9846 6 [5]
func (e *Engine) receiveAlert(n protocol.RecordNumber, body []byte) error {
	const warning, fatal = 1, 2
	if len(body) != 2 {
		return alert.Peerf(alert.DecodeError, "%w of %d bytes, expected 2", alert.MalformedAlert, len(body))
	}
	level, a := body[0], alert.Alert(body[1])
	e.trace(handshake.Event{Kind: handshake.EventAlert, Direction: handshake.Received, Alert: a})
	switch {
	case level != warning && level != fatal: // 1.3 lets it pass, but stacks in use don't
		return alert.Peerf(alert.IllegalParameter, "%w, %d", alert.UnknownAlertLevel, level)
	case a == alert.CloseNotify && (n.Epoch == 0 || e.version.Is13() && n.Epoch < handshake.LevelApplication):
		return &alert.Error{Alert: a, Fault: alert.Peer, Received: true}
	case a == alert.CloseNotify:
		e.closing.received = true
		e.heardOf()
		return nil
	case a == alert.UserCanceled && e.version.Is13(), level == warning && !e.version.Is13():
		return nil
	}
	return &alert.Error{Alert: a, Fault: alert.Peer, Received: true}
}

// receiveChangeCipherSpec takes a ChangeCipherSpec. In 1.2 it waits for its
// turn in one bit: it may come early when datagrams overtake each other, and
// never changes keys then. 1.3 has none over datagrams (RFC 9147 5).
func (e *Engine) receiveChangeCipherSpec(n protocol.RecordNumber, body []byte) error {
	switch {
	case e.version.Is13() || n.Epoch != 0:
		return e.drop(dropChangeCipherSpec)
	case len(body) != 1 || body[0] != 1:
		return alert.Peerf(alert.DecodeError, "%w: % x, expected 01", alert.BadChangeCipherSpec, body)
	case e.version == 0:
		return e.drop(dropChangeCipherSpec) // before the hellos it can only be noise
	}
	e.changeCipherSpec = true
	return e.deliver()
}

// receiveACK takes the numbers of records that the peer has (RFC 9147 7). If it has more
// than we knew, the path works again, and what is missing need not wait for as long as
// the timer has come to: a timer that has run for longer than its first timeout is due.
// In epoch 0 anybody may say so, but only as often as we have records there.
//
// RFC 9147 7.2 [2]
func (e *Engine) receiveACK(n protocol.RecordNumber, body []byte) error {
	switch {
	case e.version == 0:
		return e.drop(dropEarly) // the server may know that it will be 1.3
	case !e.version.Is13():
		return alert.Peerf(alert.UnexpectedMessage, "%w: an ACK, which only 1.3 has", alert.UnexpectedRecord)
	}
	var scratch [retransmit.MaxReceived]protocol.RecordNumber
	numbers, err := retransmit.ParseACK(body, scratch[:0])
	if err != nil {
		return alert.Peerf(alert.DecodeError, "%w: %w", alert.MalformedACK, err)
	}
	e.trace(handshake.Event{Kind: handshake.EventACK, Direction: handshake.Received, Numbers: numbers})
	for _, acked := range numbers {
		// The handshake's records are acknowledged in their epoch or above it. Each
		// side updates its keys on its own, so later epochs don't compare.
		if acked.Epoch > n.Epoch && n.Epoch < handshake.LevelApplication || acked.Epoch > handshake.MaxEpoch {
			return alert.Peerf(alert.DecodeError, "%w: in epoch %d it is for record %v", alert.MalformedACK, n.Epoch, acked)
		}
	}
	if e.flight.Acked(numbers) {
		e.backoff.Forgive()
	}
	if n.Epoch > 0 { // else anybody may have written it, as soon as he likes
		e.measureACK(numbers)
		e.answeredRecords(numbers)
	}
	if e.flight.Empty() || !e.flight.Done() {
		return nil
	}
	e.confirmed()
	return e.machine.Acked()
}

// confirmed ends our flight: the peer has all of it, and nothing will go out
// again under the keys of before.
//
// RFC 9147 7.2 [3]
func (e *Engine) confirmed() {
	e.flight.Clear()
	e.flightDies = time.Time{}
	e.backoff.Reset()
	e.pace()
	if e.machine.Open() { // until then an alert may need them: see goodbyeEpoch
		e.writes = slices.Delete(e.writes, 0, len(e.writes)-1)
	}
}
