package tls

import (
	"errors"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
)

// What happens to the bytes of a stream:
//
//	in --> receiveRecord --> open --> dispatch --+--> data, for Read
//	                                             +--> alert, ChangeCipherSpec
//	                                             +--> messages --> receiveMessage --> Machine
//
// It stops, and goes on where it was, while data waits for Read and while the
// Machine waits for outside work: so everything happens in the order in which
// the peer wrote it. Any fault is fatal: over a stream nothing gets lost.

// An idle counts what a peer may send without getting anywhere, so that it
// can't keep us busy for nothing.
type idle struct {
	empty    int // records without content, in a row
	warnings int // alerts, in a row
	messages int // KeyUpdates and HelloRequests since the last application data
}

const (
	maxEmpty    = 32
	maxWarnings = 4
	maxMessages = 32
)

// process reads what is here, as far as it can.
func (e *Engine) process() error {
	for e.err == nil && !e.closing.received && len(e.data) == 0 && e.machine.Work() == nil {
		more, err := e.receiveMessage()
		if !more && err == nil {
			more, err = e.receiveRecord()
		}
		if err != nil {
			return e.fail(err)
		}
		if !more {
			return nil
		}
	}
	return e.err
}

// receiveRecord takes the next record, and reports whether it was there.
func (e *Engine) receiveRecord() (bool, error) {
	in := e.in[e.next:]
	if len(in) < headerSize {
		return false, nil
	}
	h := parseHeader(in)
	if err := e.checkHeader(h); err != nil {
		return false, err
	}
	size := headerSize + h.length
	if len(in) < size {
		return false, nil
	}
	e.next += size
	return true, e.open(h, in[:size])
}

// checkHeader refuses a record before its fragment is awaited.
func (e *Engine) checkHeader(h header) error {
	switch h.content {
	case protocol.ChangeCipherSpec, protocol.Alert, protocol.Handshake, protocol.ApplicationData:
	default:
		return alert.Peerf(alert.UnexpectedMessage, "the peer does not speak TLS: a record starts with % x", h.append(nil))
	}
	// RFC 9846 5.1 says to ignore the version. But once it is known, no stack in
	// use sends another one, and a wrong one shows a lost boundary at once. Only
	// the alert of a client that did not get that far has 1.0.
	known := e.version != 0 && h.content != protocol.Alert
	if h.version>>8 != protocol.VersionTLS12>>8 || known && h.version != protocol.VersionTLS12 {
		return alert.Peerf(alert.ProtocolVersion, "a record has %v, expected %v", h.version, protocol.VersionTLS12)
	}
	limit := maxPlaintext
	switch {
	case e.version.Is13() && h.content == protocol.ApplicationData: // all that is protected, and skipped 0-RTT
		limit += maxExpansion13
	case e.read.opener != nil && !e.version.Is13():
		limit += maxExpansion12
	}
	if h.length > limit {
		return alert.Peerf(alert.RecordOverflow, "a record has %d bytes, more than %d", h.length, limit)
	}
	return nil
}

// open takes a whole record.
func (e *Engine) open(h header, whole []byte) error {
	number := e.number(e.read.level)
	body := whole[headerSize:]
	protected := e.read.opener != nil
	switch {
	case h.content == protocol.ChangeCipherSpec && e.ignoresChangeCipherSpec():
		e.traceRecord(handshake.Received, h.content, number, len(whole))
		return e.receiveDisguise(body)
	case !protected && h.content == protocol.ApplicationData:
		return e.skipEarly(whole, alert.Peerf(alert.UnexpectedMessage, "application data without protection"))
	case !protected, e.refusedInTheClear(h):
		e.traceRecord(handshake.Received, h.content, number, len(whole))
		return e.dispatch(h.content, body)
	case e.version.Is13() && h.content != protocol.ApplicationData:
		return alert.Peerf(alert.UnexpectedMessage, "%v without protection, after the keys changed", h.content)
	}
	content, plaintext, err := e.read.open(e.version, h, whole)
	if errors.Is(err, record.ErrOpen) {
		return e.skipEarly(whole, alert.Peerf(alert.BadRecordMAC, "record %v does not authenticate", number))
	}
	if err != nil {
		return err
	}
	e.skip = skip{}
	e.traceRecord(handshake.Received, content, number, len(whole))
	return e.dispatch(content, plaintext)
}

// ignoresChangeCipherSpec reports whether a ChangeCipherSpec in the clear is the
// one of 1.3, which means nothing. A client can't know before ServerHello.
func (e *Engine) ignoresChangeCipherSpec() bool {
	if e.version == 0 {
		return e.machine.Role() == handshake.Client && e.config.Enabled(protocol.VersionTLS13)
	}
	return e.version.Is13()
}

// receiveDisguise takes the ChangeCipherSpec of 1.3: allowed from the first
// ClientHello up to the peer's Finished, but not inside a message (RFC 9846 5).
func (e *Engine) receiveDisguise(body []byte) error {
	switch {
	case len(body) != 1 || body[0] != 1:
		return alert.Peerf(alert.UnexpectedMessage, "ChangeCipherSpec is % x, expected 01", body[:min(len(body), 8)])
	case e.read.number >= handshake.LevelApplication:
		return alert.Peerf(alert.UnexpectedMessage, "ChangeCipherSpec after Finished")
	case len(e.messages) > 0:
		return errInterleaved(protocol.ChangeCipherSpec)
	}
	return e.countEmpty()
}

// refusedInTheClear reports whether a record is the alert of a client of 1.3
// that could not take our ServerHello, and so has no keys.
func (e *Engine) refusedInTheClear(h header) bool {
	return h.content == protocol.Alert && h.length == alertSize && e.version.Is13() &&
		e.machine.Role() == handshake.Server && e.read.number == handshake.LevelHandshake && e.read.sequence == 0
}

func (e *Engine) countEmpty() error {
	if e.idle.empty++; e.idle.empty > maxEmpty {
		return alert.Peerf(alert.UnexpectedMessage, "more than %d empty records in a row", maxEmpty)
	}
	return nil
}

// dispatch takes the content of a record.
func (e *Engine) dispatch(content protocol.ContentType, body []byte) error {
	switch {
	case len(body) > 0:
		e.idle.empty = 0
	case content != protocol.ApplicationData: // RFC 9846 5.1, 5.4
		return alert.Peerf(alert.UnexpectedMessage, "an empty record of %v", content)
	default:
		if err := e.countEmpty(); err != nil {
			return err
		}
	}
	if content == protocol.Alert {
		return e.receiveAlert(body)
	}
	e.idle.warnings = 0
	if content == protocol.Handshake {
		e.skip = skip{}
		e.messages = append(e.messages, body...)
		return nil
	}
	if len(e.messages) > 0 {
		return errInterleaved(content)
	}
	switch {
	case content == protocol.ApplicationData:
		return e.receiveData(body)
	case content == protocol.ChangeCipherSpec && !e.version.Is13():
		return e.settle(e.machine.Receive(handshake.Message{Content: content, Body: body}, e.now))
	}
	return alert.Peerf(alert.UnexpectedMessage, "a protected record of %v", content)
}

// errInterleaved is RFC 9846 5.1: no other record inside of a message.
func errInterleaved(content protocol.ContentType) error {
	return alert.Peerf(alert.UnexpectedMessage, "%v inside of a handshake message", content)
}

func (e *Engine) receiveData(body []byte) error {
	if e.readsEarly() {
		return e.receiveEarly(body)
	}
	if !e.machine.Open() {
		return alert.Peerf(alert.UnexpectedMessage, "application data before the handshake's end")
	}
	if len(body) > 0 {
		e.idle.messages = 0
		e.data = body
	}
	return nil
}

// An alert is uint8 level; uint8 description (RFC 9846 6).
const (
	alertSize    = 2
	alertWarning = 1
	alertFatal   = 2
)

// receiveAlert takes an alert. In 1.3 only two kinds don't end the connection,
// and only they may be warnings.
func (e *Engine) receiveAlert(body []byte) error {
	if len(body) != alertSize {
		return alert.Peerf(alert.DecodeError, "an alert of %d bytes, expected %d", len(body), alertSize)
	}
	level, a := body[0], alert.Alert(body[1])
	e.traceAlert(handshake.Received, a)
	switch {
	case a == alert.CloseNotify && e.machine.Open():
		e.closing.received = true
		return nil
	case a == alert.UserCanceled && e.version.Is13(),
		level == alertWarning && !e.version.Is13() && a != alert.CloseNotify:
		return e.countWarning()
	case level != alertWarning && level != alertFatal:
		return alert.Peerf(alert.IllegalParameter, "an alert of level %d", level)
	case level == alertWarning && e.version.Is13() && a != alert.CloseNotify:
		return alert.Peerf(alert.DecodeError, "the alert %v as a warning, which 1.3 does not have", a)
	}
	err := &alert.Error{Alert: a, Fault: alert.Peer, Received: true}
	e.end(err) // and not answered
	return err
}

func (e *Engine) countWarning() error {
	if e.idle.warnings++; e.idle.warnings > maxWarnings {
		return alert.Peerf(alert.UnexpectedMessage, "more than %d warnings in a row", maxWarnings)
	}
	return nil
}

// --- Handshake messages

const messageHeaderSize = 4

// receiveMessage offers the machine the next message, and reports whether it
// was whole. If a step has to wait, the message stays and is offered again.
func (e *Engine) receiveMessage() (bool, error) {
	if len(e.messages) < messageHeaderSize {
		return false, nil
	}
	kind := protocol.HandshakeType(e.messages[0])
	length := int(e.messages[1])<<16 | int(e.messages[2])<<8 | int(e.messages[3])
	if err := e.checkMessage(kind, length); err != nil {
		return false, err
	}
	size := messageHeaderSize + length
	if len(e.messages) < size {
		return false, nil
	}
	err := e.offer(kind, size)
	if err == handshake.ErrNotYet {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	e.messages = append(e.messages[:0], e.messages[size:]...)
	if len(e.messages) == 0 && e.machine.Open() {
		e.messages = nil // a handshake's size is not needed again
	}
	return true, nil
}

// checkMessage refuses a message before its body is awaited: by its type where
// only that is wrong, and by a length that no such message has.
func (e *Engine) checkMessage(kind protocol.HandshakeType, length int) error {
	if e.isHelloRequest(kind) {
		if length > 0 {
			return alert.Peerf(alert.DecodeError, "HelloRequest of %d bytes, expected none", length)
		}
		return nil
	}
	place := e.machine.Standing()
	if kind == protocol.ClientHello && e.machine.Open() && !e.version.Is13() {
		return alert.Peerf(alert.NoRenegotiation, "the client wants to renegotiate")
	}
	step := place.Classify(kind, nil, e.machine.Role().Peer())
	if step == handshake.Start {
		return alert.Peerf(alert.UnexpectedMessage, "%v came after %v", kind, place.At)
	}
	return e.machine.CheckLength(step, length)
}

// offer hands the first message, of size bytes with its header, to the machine.
func (e *Engine) offer(kind protocol.HandshakeType, size int) error {
	if e.isHelloRequest(kind) {
		return e.refuseRenegotiation()
	}
	if kind == protocol.KeyUpdate && e.machine.Open() {
		if err := e.countIdle(kind); err != nil {
			return err
		}
	}
	if !e.waited {
		e.traceMessage(handshake.Received, kind, size-messageHeaderSize)
	}
	e.offered = size
	err := e.settle(e.machine.Receive(handshake.Message{
		Content: protocol.Handshake, Type: kind, Body: e.messages[messageHeaderSize:size],
	}, e.now))
	e.offered, e.waited = 0, err == handshake.ErrNotYet
	return err
}

// isHelloRequest reports whether a message is HelloRequest, which is no step of
// the graph: a server of 1.2 may send it at any time (RFC 5246 7.4.1.1), even
// before its ServerHello has said that it is one.
func (e *Engine) isHelloRequest(kind protocol.HandshakeType) bool {
	return kind == protocol.HelloRequest && e.machine.Role() == handshake.Client &&
		!e.version.Is13() && e.config.Enabled(protocol.VersionTLS12)
}

// refuseRenegotiation answers a HelloRequest. During the handshake it is ignored.
func (e *Engine) refuseRenegotiation() error {
	if err := e.countIdle(protocol.HelloRequest); err != nil || !e.machine.Open() || e.closing.sent {
		return err
	}
	return e.sendAlert(alert.NoRenegotiation) // RFC 5246 7.2.2
}

func (e *Engine) countIdle(kind protocol.HandshakeType) error {
	if e.idle.messages++; e.idle.messages > maxMessages {
		return alert.Peerf(alert.UnexpectedMessage, "%v: more than %d such messages without data", kind, maxMessages)
	}
	return nil
}
