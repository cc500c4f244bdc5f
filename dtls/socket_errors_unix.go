//go:build unix

package dtls

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// networkFault reports whether the network, and not the socket, is at fault.
func networkFault(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED, // ICMP's ways to say unreachable, on a connected socket
		syscall.EHOSTUNREACH,
		syscall.ENETUNREACH,
		syscall.EHOSTDOWN,
		syscall.ENETDOWN,
		syscall.ENOPROTOOPT,
		syscall.EPROTO,
		syscall.EOPNOTSUPP,
		syscall.ECONNRESET,
		syscall.ENETRESET,
		syscall.ENOBUFS, // the interface's queue is full
		syscall.ENOMEM,
		syscall.EPERM,         // the local firewall drops it; its rules change, and a lost datagram is no more
		syscall.EACCES,        // likewise; and ICMPv6's "administratively prohibited"
		syscall.EADDRNOTAVAIL: // the source address was taken from the host, perhaps while it roams
		return true
	}
	// ICMP's "source host isolated". Linux and Solaris have a number for it, the
	// BSDs don't.
	return unix.ErrnoName(errno) == "ENONET"
}

// tooBig reports whether a datagram is larger than the way to the peer carries:
// the caller lowers the MTU. On a connected socket a read may report it for an
// earlier write.
func tooBig(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

// sourceRefused reports whether a write failed since the datagram can't leave
// from the address that was asked for.
func sourceRefused(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EADDRNOTAVAIL) ||
		errors.Is(err, syscall.ENETUNREACH) // Linux, for an IPv4 address that is gone
}
