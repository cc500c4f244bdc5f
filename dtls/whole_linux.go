package dtls

import (
	"net"

	"golang.org/x/sys/unix"
)

// keepWhole has a socket send every datagram with the don't-fragment bit, and take none
// that is larger than its interface's MTU. What the system has heard of smaller ones on the
// way, from ICMP messages, doesn't count any more (RFC 8899 4.5). It reports whether that
// holds now for whatever the socket can send.
func keepWhole(udp *net.UDPConn) (done bool) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		done = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE) == nil // IPv6 sockets may send IPv4
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil || domain == unix.AF_INET6 {
			done = done && unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE) == nil
		}
	})
	return done && err == nil
}
