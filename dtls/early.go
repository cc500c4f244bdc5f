package dtls

import (
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/session"
)

var (
	// ErrNoEarlyData says that data can't be written before the handshake is
	// complete, or no more of it: there is no session that allows it, it is full,
	// or (at a server) no early data has come that it would answer.
	ErrNoEarlyData = handshake.ErrNoEarlyData
	// ErrEarlyDataRejected says that early data was written which the server did
	// not take. Nothing of it has arrived.
	ErrEarlyDataRejected = handshake.ErrEarlyDataRejected
)

// Why there is 0-RTT on a connection, or none.
const (
	EarlyDataUndecided        = handshake.EarlyDataUndecided
	EarlyDataAccepted         = handshake.EarlyDataAccepted
	EarlyDataDisabled         = handshake.EarlyDataDisabled
	EarlyDataProtocolVersion  = handshake.EarlyDataProtocolVersion
	EarlyDataNoSession        = handshake.EarlyDataNoSession
	EarlyDataUnsupported      = handshake.EarlyDataUnsupported
	EarlyDataALPNMismatch     = handshake.EarlyDataALPNMismatch
	EarlyDataSuiteMismatch    = handshake.EarlyDataSuiteMismatch
	EarlyDataNotResumed       = handshake.EarlyDataNotResumed
	EarlyDataHelloRetry       = handshake.EarlyDataHelloRetry
	EarlyDataPeerDeclined     = handshake.EarlyDataPeerDeclined
	EarlyDataTicketAge        = handshake.EarlyDataTicketAge
	EarlyDataReplayed         = handshake.EarlyDataReplayed
	EarlyDataAntiReplayFailed = handshake.EarlyDataAntiReplayFailed
)

// NewReplayRegister returns an AntiReplay in memory that remembers up to capacity
// ClientHellos, or 32768 if capacity is less than one. Give it to several Configs
// of one process that share ticket keys.
func NewReplayRegister(capacity int) AntiReplay { return session.NewReplayRegister(capacity) }
