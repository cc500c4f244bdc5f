package tls

import (
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A layer is the Engine as its Machine sees it: what carries whole messages.
type layer Engine

var _ handshake.Layer = (*layer)(nil)

// Send writes a message, behind its header (RFC 9846 4):
//
//	uint8 msg_type; uint24 length
//
// It waits for others that go under the same keys, so that records are full.
func (l *layer) Send(m handshake.Message) {
	e := (*Engine)(l)
	if e.answersTooEarly() {
		e.failed(errExcess("our answer is due"))
	}
	if e.closing.sent || e.failure != nil {
		return // nothing follows a close_notify, RFC 9846 6.1
	}
	if m.Content == protocol.ChangeCipherSpec {
		e.failed(e.append(m.Content, m.Body))
		return
	}
	if m.Level == handshake.LevelPlain && e.write.sealer != nil {
		e.write = writeLevel{} // the second ClientHello: 0-RTT is refused
	}
	if e.machine.Role() == handshake.Client && e.greeted {
		e.disguise() // right before the second flight
	}
	var b wire.Builder
	b.Uint8(uint8(m.Type))
	b.Bytes24(m.Body)
	whole, err := b.Bytes()
	e.failed(err)
	e.unpacked = append(e.unpacked, whole...)
	e.traceMessage(handshake.Sent, m.Type, len(m.Body))
	e.greeted = true
	if e.machine.Role() == handshake.Server {
		e.disguise() // right after the first message
	}
}

// pack makes records of the messages that wait.
//
// RFC 9846 5.1 [7]
func (e *Engine) pack() error {
	waiting := e.unpacked
	e.unpacked = nil // append packs, too
	for fragment := range slices.Chunk(waiting, e.maxFragment()) {
		if err := e.append(protocol.Handshake, fragment); err != nil {
			return err
		}
	}
	return nil
}

// disguise sends the ChangeCipherSpec of 1.3, once: it means nothing, but makes
// middleboxes take the handshake for a resumption of 1.2 (RFC 9846 E.4). It is
// always in the clear. Before 0-RTT data, 1.3 is only hoped for.
//
// RFC 9846 E.4 [1]
func (e *Engine) disguise() {
	if e.disguised || e.version != 0 && !e.version.Is13() {
		return
	}
	e.disguised = true
	e.failed(e.pack())
	var clear writeLevel
	e.out, _ = clear.append(e.out, protocol.VersionTLS13, protocol.ChangeCipherSpec, []byte{1})
	e.noteRecord(handshake.Sent, protocol.ChangeCipherSpec, protocol.RecordNumber{}, headerSize+1)
}

// failed keeps the first error of a call that can't return it.
func (e *Engine) failed(err error) {
	if e.failure == nil {
		e.failure = err
	}
}

// Flush ends a flight.
func (l *layer) Flush(handshake.Reply) {
	e := (*Engine)(l)
	e.failed(e.pack())
}

// answersTooEarly reports whether the peer has written more handshake messages
// than those that we answer: it can't have read the answer yet. Nothing of it is
// sent then, so that the peer gets our alert under keys that it knows.
func (e *Engine) answersTooEarly() bool { return !e.machine.Open() && e.leftOver() }

// errExcess is about handshake bytes behind a message that ends a flight, or
// after which the keys change (RFC 9846 5.1).
//
// RFC 9846 5.1 [4]
func errExcess(where string) error {
	return alert.Peerf(alert.UnexpectedMessage, "%w: %s", alert.ExcessHandshakeData, where)
}

// leftOver reports whether handshake bytes follow the message that the machine
// is looking at.
func (e *Engine) leftOver() bool { return len(e.messages) > e.offered }

// RFC 9846 5.1 [6]
func (l *layer) WriteKey(k handshake.TrafficKey) error {
	w, err := newWriteLevel(k)
	if err != nil {
		return alert.Localf(alert.InternalError, "%w", err)
	}
	e := (*Engine)(l)
	e.failed(e.pack())
	if e.failure != nil {
		return e.failure
	}
	if e.machine.Role() == handshake.Client {
		e.disguise() // before whatever goes under keys, be it an alert or early data
	}
	w.padding = e.config.RecordPadding
	e.write = w
	e.noteKey(handshake.Sent, k.Level)
	return nil
}

// ReadKey replaces the keys at once: over a stream nothing arrives late.
//
// RFC 9846 4.7.3 [8]
func (l *layer) ReadKey(k handshake.TrafficKey) error {
	e := (*Engine)(l)
	if e.leftOver() {
		return errExcess("the peer's keys change here")
	}
	r, err := newReadLevel(k)
	if err != nil {
		return alert.Localf(alert.InternalError, "%w", err)
	}
	e.read = r
	e.noteKey(handshake.Received, k.Level)
	return nil
}

func (l *layer) Version(v protocol.Version) { l.version = v }

// ConnectionIDs has nothing to do: a stream needs none.
func (l *layer) ConnectionIDs(handshake.ConnectionIDs) error { return nil }

// SkipEarly passes over 0-RTT that was refused, until the first record that is
// something else: one that opens, or the second ClientHello.
func (l *layer) SkipEarly(n int) { l.skip = skip{true, n} }

func (l *layer) Trace(v Event) { (*Engine)(l).trace(v) }

// Finish ends the handshake. In 1.2 no keys change behind its last message, and
// yet nothing may come with that.
func (l *layer) Finish() {
	l.stats.HandshakeTime = l.now.Sub(l.began)
	if e := (*Engine)(l); !l.version.Is13() && e.leftOver() {
		e.failed(errExcess("handshake data goes on behind the last message"))
	}
	if l.log != nil {
		s := l.machine.State()
		l.log.Debugf("%v: handshake complete: %v, %s", l.machine.Role(), l.version, suite.ByID(s.CipherSuite).Name)
	}
}

// maxFragment is how much plaintext goes into one record.
//
// RFC 9846 5.1 [12]
func (e *Engine) maxFragment() int {
	most := e.machine.SendLimit(e.write.number)
	if e.config.MaxSendFragment != 0 {
		return min(most, e.config.MaxSendFragment)
	}
	return most
}

// append makes one record of a fragment, for Transmit, behind the messages that
// wait.
//
// RFC 9846 5 [4]
func (e *Engine) append(content protocol.ContentType, fragment []byte) error {
	if len(e.unpacked) > 0 {
		if err := e.pack(); err != nil {
			return err
		}
	}
	start, number := len(e.out), e.number(e.write.level)
	e.write.most = e.maxFragment()
	var err error
	e.out, err = e.write.append(e.out, e.version, content, fragment)
	if err == nil {
		e.noteRecord(handshake.Sent, content, number, len(e.out)-start)
	}
	return err
}

func (e *Engine) number(l level) protocol.RecordNumber {
	return protocol.RecordNumber{Epoch: l.number, Sequence: l.sequence}
}

// sendAlert sends one alert (RFC 9846 6).
//
// RFC 9846 5.1 [8], 6.1 [2]
func (e *Engine) sendAlert(a alert.Alert) error {
	level := byte(alertFatal)
	if a == alert.CloseNotify {
		level = alertWarning
	}
	e.traceAlert(handshake.Sent, a)
	return e.append(protocol.Alert, []byte{level, byte(a)})
}
