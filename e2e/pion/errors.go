package dtls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pion/dtls/v3/pkg/protocol"
)

// The kinds of errors, by what they mean for the connection.
type (
	FatalError     = protocol.FatalError
	InternalError  = protocol.InternalError
	TemporaryError = protocol.TemporaryError
	TimeoutError   = protocol.TimeoutError
	HandshakeError = protocol.HandshakeError
)

// ErrConnClosed is what Write returns once the connection is closed.
var ErrConnClosed = &FatalError{Err: fmt.Errorf("the connection is closed: %w", net.ErrClosed)}

var (
	errDeadline = &TimeoutError{Err: errors.Join(context.DeadlineExceeded, os.ErrDeadlineExceeded)}
	errTooShort = &TemporaryError{Err: fmt.Errorf("the buffer is too short for the record: %w", io.ErrShortBuffer)}
)
