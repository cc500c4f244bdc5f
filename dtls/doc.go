package dtls

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What dtls and tls have in common is covered by dtls's promise under these
// names.
type (
	// A Config configures a client or server; its zero value is a client.
	Config = handshake.Config
	// A ConfigError names the field of a Config that can't be used.
	ConfigError = handshake.ConfigError
	// ConnectionState describes a connection.
	ConnectionState = handshake.ConnectionState
	// An Error ended a connection: it says whose fault it was and which alert
	// went out or came in.
	Error = alert.Error
	// KeyUpdateRequest says whether the peer shall update its keys too.
	KeyUpdateRequest = message.KeyUpdateRequest
	// An Event is what Config.Trace is called with.
	Event = handshake.Event
)

// The versions for Config.MinVersion and MaxVersion. TLS's numbers mean the
// same there.
const (
	VersionDTLS12 = uint16(protocol.VersionDTLS12)
	VersionDTLS13 = uint16(protocol.VersionDTLS13)
)

// Whether KeyUpdate asks the peer for one too.
const (
	UpdateNotRequested = message.NotRequested
	UpdateRequested    = message.Requested
)
