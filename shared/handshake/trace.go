package handshake

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// An EventKind says what an Event is about.
type EventKind uint8

const (
	EventDatagram   EventKind = iota // one datagram, or one call's worth of stream bytes
	EventRecord                      // one record in it
	EventMessage                     // a handshake message, or a fragment of one
	EventACK                         // an ACK: Numbers
	EventAlert                       // an alert
	EventDrop                        // something received was dropped: Reason
	EventTimeout                     // the retransmission timer expired
	EventKey                         // new keys: Epoch
	EventInnerHello                  // a ClientHello that goes encrypted in another one
	EventStep                        // the handshake has crossed a step of the graph: Step
)

func (k EventKind) String() string {
	return [...]string{"datagram", "record", "message", "ack", "alert", "drop", "timeout", "key", "inner hello", "step"}[k]
}

// A Direction is seen from this side.
type Direction uint8

const (
	Sent Direction = iota
	Received
)

func (d Direction) String() string { return [...]string{"sent", "received"}[d] }

// An Event is one thing that an Engine did, for Config.Trace. Which fields are
// set follows from Kind.
type Event struct {
	Time      time.Time // of the call into the Engine
	Engine    uint64    // which one: a random number, the same in all its events
	Kind      EventKind
	Direction Direction
	Role      Role
	Size      int                    // bytes of the datagram, record (with header) or message body
	Content   protocol.ContentType   // of a record
	Number    protocol.RecordNumber  // of a record or key
	Message   protocol.HandshakeType // of a message
	Seq       uint16                 // message_seq
	Offset    int                    // of a fragment
	Length    int                    // of the fragment's whole message
	Repeated  bool                   // sent again
	Alert     alert.Alert
	Numbers   []protocol.RecordNumber // valid during the call only
	Reason    string                  // of a drop
	Step      Step
}

// trace tells of what no Layer sees. Without Config.Trace it costs a comparison.
func (m *Machine) trace(v Event) {
	if m.given.Trace != nil {
		m.layer.Trace(v)
	}
}

// Number is Event.Engine.
func (m *Machine) Number() uint64 { return m.number }

// numberOf is a fresh Event.Engine, if somebody wants to know it.
func numberOf(c *Config) uint64 {
	if c.Trace == nil {
		return 0
	}
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}
