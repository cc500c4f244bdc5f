package dtls

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sharesAddress says that sockets can share an address, and get a part of the peers each.
const sharesAddress = true

// listenShared opens a socket on an address that others may have, too, of the same user.
func listenShared(network, address string) (net.PacketConn, error) {
	share := func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if failed != nil {
			return failed
		}
		return err
	}
	pc, err := (&net.ListenConfig{Control: share}).ListenPacket(context.Background(), network, address)
	return roomy(pc), err
}
