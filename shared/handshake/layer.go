package handshake

import (
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A Message is one whole handshake message, or a ChangeCipherSpec, without the
// header that its transport puts before it.
type Message struct {
	Content protocol.ContentType // Handshake or ChangeCipherSpec
	Type    protocol.HandshakeType
	Seq     uint16 // message_seq, over datagrams only
	Level   uint64 // the keys it goes out under
	Body    []byte // valid during the call only
}

// The levels of protection, in the order in which they come. They are the
// epochs of DTLS (RFC 9147 6.1); 1.2 knows only the first two.
const (
	LevelPlain       uint64 = 0
	LevelEncrypted   uint64 = 1 // 1.2: after ChangeCipherSpec
	LevelEarly       uint64 = 1 // 1.3: 0-RTT
	LevelHandshake   uint64 = 2
	LevelApplication uint64 = 3 // and one more for every KeyUpdate
)

// A TrafficKey is what a Layer needs to protect one direction at one level.
type TrafficKey struct {
	Level uint64
	Suite *suite.Suite
	Key   keys.RecordKey
}

// Reply says whether the peer answers a flight with one of its own. If it
// doesn't, only ACKs (1.3) or its repeated flight (1.2) tell how ours fared.
type Reply uint8

const (
	NoReply Reply = iota
	AwaitReply
)

// A Layer carries whole handshake messages over something that is not whole:
// a stream cut into records, or datagrams that get lost. It is output only;
// input is a call into the Machine.
type Layer interface {
	// Send queues one message under the level that it names.
	Send(m Message)
	// Flush says that the flight is whole.
	Flush(Reply)
	// WriteKey adds a level. Older ones stay for what is sent again.
	WriteKey(TrafficKey) error
	// ReadKey adds a level. It fails if handshake bytes are left under the old
	// one: no message may span a key change (RFC 9846 5.1).
	ReadKey(TrafficKey) error
	// Version is called once, when the version is known.
	Version(protocol.Version)
	// ConnectionIDs adds connection IDs, over datagrams only. It fails if records
	// with one of them would be too small for the path.
	ConnectionIDs(ConnectionIDs) error
	// SkipEarly tells the server's layer that 0-RTT was offered and refused:
	// up to n bytes of records that don't open are passed over (RFC 9846 4.3.10).
	SkipEarly(n int)
	// Trace gives Config.Trace, which is set, an event, and says when it was and whose.
	Trace(Event)
	// Finish says that the handshake is complete.
	Finish()
}
