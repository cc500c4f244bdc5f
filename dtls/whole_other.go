//go:build !linux

package dtls

import "net"

// keepWhole can't tell these systems not to fragment what a socket sends, or not for both
// of IPv4 and IPv6.
func keepWhole(*net.UDPConn) (done bool) { return false }
