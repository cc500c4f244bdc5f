package tls

import (
	"errors"
	"strings"

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
	empty    int // records without content since one that got somewhere
	warnings int // alerts, likewise
	updates  int // KeyUpdates since the last application data
}

const (
	maxEmpty    = 32
	maxWarnings = 4
	maxUpdates  = 32
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
//
// RFC 9846 5 [5], 5.1 [11, 13], 5.2 [2]
func (e *Engine) checkHeader(h header) error {
	if err := e.checkTLS(h); err != nil {
		return err
	}
	// RFC 9846 5.1 says to ignore the version. But once it is known, no stack in
	// use sends another one, and a wrong one shows a lost boundary at once. Only
	// the alert of a client that did not get that far has 1.0.
	known := e.version != 0 && h.content != protocol.Alert
	if h.version>>8 != protocol.VersionTLS12>>8 || known && h.version != protocol.VersionTLS12 {
		return alert.Peerf(alert.ProtocolVersion, "%w: %v, expected %v", alert.RecordVersion, h.version, protocol.VersionTLS12)
	}
	switch h.content {
	case protocol.ChangeCipherSpec, protocol.Alert, protocol.Handshake, protocol.ApplicationData:
	default:
		return alert.Peerf(alert.UnexpectedMessage, "%w of %v", alert.UnexpectedRecord, h.content)
	}
	limit := e.machine.ReceiveLimit(e.read.number)
	if e.skip.on {
		limit = maxPlaintext // the client didn't know of another
	}
	switch {
	case e.version.Is13() && (e.read.opener != nil || h.content == protocol.ApplicationData): // 0-RTT may be skipped
		limit += maxExpansion13
	case e.read.opener != nil && !e.version.Is13():
		limit += maxExpansion12
	}
	if h.length > limit {
		return alert.Peerf(alert.RecordOverflow, "%w: %d bytes, more than %d", alert.RecordTooLong, h.length, limit)
	}
	return nil
}

// checkTLS tells other protocols from TLS by how they begin: by a mistake that
// many make, or by a record of no version.
//
// RFC 9846 E.5 [6, 11]
func (e *Engine) checkTLS(h header) error {
	if h.version>>8 == protocol.VersionTLS12>>8 || e.version != 0 {
		return nil
	}
	begin := string(h.append(nil))
	switch {
	case begin == "CONNE":
		return alert.Peerf(alert.UnexpectedMessage, "%w: it starts with %q", alert.HTTPProxyRequest, begin)
	case strings.HasPrefix(begin, "GET ") || strings.HasPrefix(begin, "POST ") || strings.HasPrefix(begin, "HEAD ") || strings.HasPrefix(begin, "PUT "):
		return alert.Peerf(alert.UnexpectedMessage, "%w: it starts with %q", alert.HTTPRequest, begin)
	}
	return alert.Peerf(alert.ProtocolVersion, "%w: a record starts with % x", alert.NotTLS, begin)
}

// open takes a whole record.
//
// RFC 9846 4.3.10 [12], 5.2 [3]
func (e *Engine) open(h header, whole []byte) error {
	number := e.number(e.read.level)
	body := whole[headerSize:]
	protected := e.read.opener != nil
	switch {
	case h.content == protocol.ChangeCipherSpec && e.ignoresChangeCipherSpec():
		e.noteRecord(handshake.Received, h.content, number, len(whole))
		return e.receiveDisguise(body)
	case !protected && h.content == protocol.ApplicationData:
		return e.skipEarly(whole, alert.Peerf(alert.UnexpectedMessage, "%w: application data without protection", alert.UnexpectedRecord))
	case !protected, e.refusedInTheClear(h):
		e.noteRecord(handshake.Received, h.content, number, len(whole))
		return e.dispatch(h.content, body)
	}
	content, plaintext, err := e.read.open(e.version, h, whole, e.machine.ReceiveLimit(number.Epoch))
	if errors.Is(err, record.ErrOpen) {
		err = alert.Peerf(alert.BadRecordMAC, "record %v does not authenticate", number)
		if h.content == protocol.ApplicationData {
			err = e.skipEarly(whole, err)
		}
		return err
	}
	if err != nil {
		return err
	}
	e.skip = skip{}
	e.noteRecord(handshake.Received, content, number, len(whole))
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
//
// RFC 9846 5 [1, 2, 3]
func (e *Engine) receiveDisguise(body []byte) error {
	switch {
	case len(body) != 1 || body[0] != 1:
		return alert.Peerf(alert.UnexpectedMessage, "%w: % x, expected 01", alert.BadChangeCipherSpec, body[:min(len(body), 8)])
	case e.read.number >= handshake.LevelApplication:
		return alert.Peerf(alert.UnexpectedMessage, "%w: ChangeCipherSpec after Finished", alert.UnexpectedRecord)
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
		return alert.Peerf(alert.UnexpectedMessage, "%w: more than %d in a row", alert.TooManyEmptyRecords, maxEmpty)
	}
	return nil
}

// dispatch takes the content of a record.
//
// RFC 9846 5.4 [2]
func (e *Engine) dispatch(content protocol.ContentType, body []byte) error {
	if len(body) == 0 {
		if content != protocol.ApplicationData { // RFC 9846 5.1, 5.4
			return alert.Peerf(alert.UnexpectedMessage, "%w of %v, an empty one", alert.UnexpectedRecord, content)
		}
		if err := e.countEmpty(); err != nil {
			return err
		}
	} else if content == protocol.Alert {
		return e.receiveAlert(body)
	} else {
		e.idle.empty, e.idle.warnings = 0, 0
	}
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
	return alert.Peerf(alert.UnexpectedMessage, "%w of %v, a protected one", alert.UnexpectedRecord, content)
}

// errInterleaved is RFC 9846 5.1: no other record inside of a message.
//
// RFC 9846 5.1 [2]
func errInterleaved(content protocol.ContentType) error {
	return alert.Peerf(alert.UnexpectedMessage, "%w of %v inside of a handshake message", alert.UnexpectedRecord, content)
}

func (e *Engine) receiveData(body []byte) error {
	if e.readsEarly() {
		return e.receiveEarly(body)
	}
	if !e.machine.Open() {
		return alert.Peerf(alert.UnexpectedMessage, "%w: application data before the handshake's end", alert.UnexpectedRecord)
	}
	if len(body) > 0 {
		e.idle.updates = 0
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
//
// RFC 9846 6 [1, 2, 4], 6.1 [4]
func (e *Engine) receiveAlert(body []byte) error {
	if len(body) != alertSize {
		return alert.Peerf(alert.DecodeError, "%w of %d bytes, expected %d", alert.MalformedAlert, len(body), alertSize)
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
		return alert.Peerf(alert.IllegalParameter, "%w, %d", alert.UnknownAlertLevel, level)
	case level == alertWarning && e.version.Is13() && a != alert.CloseNotify:
		return alert.Peerf(alert.DecodeError, "%w: %v", alert.UnexpectedWarning, a)
	}
	err := &alert.Error{Alert: a, Fault: alert.Peer, Received: true}
	e.end(err) // and not answered
	return err
}

func (e *Engine) countWarning() error {
	if e.idle.warnings++; e.idle.warnings > maxWarnings {
		return alert.Peerf(alert.UnexpectedMessage, "%w: more than %d in a row", alert.TooManyWarnings, maxWarnings)
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
	place := e.machine.Standing()
	if e.renegotiates(kind) {
		return alert.Peerf(alert.NoRenegotiation, "%w: %v", alert.Renegotiation, kind)
	}
	step := place.Classify(kind, nil, e.machine.Role().Peer())
	if step == handshake.Start {
		return alert.Peerf(alert.UnexpectedMessage, "%w: %v came after %v", alert.MessageNotDue, kind, place.At)
	}
	return e.machine.CheckLength(step, length)
}

// renegotiates reports whether a message asks for another handshake on an open
// connection of 1.2, which there is none of here. RFC 5246 7.2.2 has a warning
// as the answer; stacks in use end the connection, because most peers can't go
// on after it. While the first handshake runs, RFC 5246 7.4.1.1 wants a client to
// ignore HelloRequest; but a lawful server has no reason to send one then, and
// the message stands in no transcript.
func (e *Engine) renegotiates(kind protocol.HandshakeType) bool {
	asks := protocol.ClientHello
	if e.machine.Role() == handshake.Client {
		asks = protocol.HelloRequest
	}
	return kind == asks && e.machine.Open() && !e.version.Is13()
}

// offer hands the first message, of size bytes with its header, to the machine.
func (e *Engine) offer(kind protocol.HandshakeType, size int) error {
	if kind == protocol.KeyUpdate && e.machine.Open() {
		if e.idle.updates++; e.idle.updates > maxUpdates {
			return alert.Peerf(alert.UnexpectedMessage, "%w: more than %d without data", alert.TooManyKeyUpdates, maxUpdates)
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
