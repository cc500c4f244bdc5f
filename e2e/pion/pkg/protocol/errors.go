package protocol

import (
	"errors"
	"net"
)

// The errors of package dtls, by what they mean for the connection. Each wraps what
// happened, and is a net.Error.
type (
	// A FatalError ended the connection, or kept it from beginning.
	FatalError struct{ Err error }
	// An InternalError is a fault of this implementation.
	InternalError struct{ Err error }
	// A TemporaryError made one call fail.
	TemporaryError struct{ Err error }
	// A TimeoutError says that a deadline is past.
	TimeoutError struct{ Err error }
	// A HandshakeError ended the handshake.
	HandshakeError struct{ Err error }
)

func (e *FatalError) Error() string   { return "dtls fatal: " + e.Err.Error() }
func (e *FatalError) Unwrap() error   { return e.Err }
func (e *FatalError) Timeout() bool   { return false }
func (e *FatalError) Temporary() bool { return false }

func (e *InternalError) Error() string   { return "dtls internal: " + e.Err.Error() }
func (e *InternalError) Unwrap() error   { return e.Err }
func (e *InternalError) Timeout() bool   { return false }
func (e *InternalError) Temporary() bool { return false }

func (e *TemporaryError) Error() string   { return "dtls temporary: " + e.Err.Error() }
func (e *TemporaryError) Unwrap() error   { return e.Err }
func (e *TemporaryError) Timeout() bool   { return false }
func (e *TemporaryError) Temporary() bool { return true }

func (e *TimeoutError) Error() string   { return "dtls timeout: " + e.Err.Error() }
func (e *TimeoutError) Unwrap() error   { return e.Err }
func (e *TimeoutError) Timeout() bool   { return true }
func (e *TimeoutError) Temporary() bool { return true }

func (e *HandshakeError) Error() string { return "handshake error: " + e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }

// Timeout reports whether the handshake took too long.
func (e *HandshakeError) Timeout() bool {
	var cause net.Error
	return errors.As(e.Err, &cause) && cause.Timeout()
}

// Temporary reports whether the link's trouble may pass.
func (e *HandshakeError) Temporary() bool {
	var cause interface{ Temporary() bool }
	return errors.As(e.Err, &cause) && cause.Temporary()
}
