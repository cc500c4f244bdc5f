package dtls

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// networkFault reports whether the network, and not the socket, is at fault.
func networkFault(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case windows.WSAECONNRESET, // an earlier write met "port unreachable", even on an unconnected socket
		windows.WSAENETRESET, // likewise "time exceeded"
		windows.ERROR_NETNAME_DELETED,
		windows.WSAECONNREFUSED,
		windows.ERROR_CONNECTION_REFUSED,
		windows.ERROR_PORT_UNREACHABLE,
		windows.ERROR_PROTOCOL_UNREACHABLE,
		windows.WSAEHOSTUNREACH,
		windows.ERROR_HOST_UNREACHABLE,
		windows.WSAENETUNREACH,
		windows.ERROR_NETWORK_UNREACHABLE,
		windows.WSAEHOSTDOWN,
		windows.WSAENETDOWN,
		windows.WSAENOBUFS,       // the interface's queue is full
		windows.WSAEACCES,        // the local firewall drops it; its rules change, and a lost datagram is no more
		windows.WSAEADDRNOTAVAIL: // the source address was taken from the host, perhaps while it roams
		return true
	}
	return false
}

// tooBig reports whether a datagram is larger than the way to the peer carries:
// the caller lowers the MTU. On a read it means that the datagram was larger
// than the buffer.
func tooBig(err error) bool {
	return errors.Is(err, windows.WSAEMSGSIZE) || errors.Is(err, windows.ERROR_MORE_DATA)
}

// sourceRefused: no source is asked for on Windows.
func sourceRefused(error) bool { return false }
