//go:build !linux

package dtls

import (
	"errors"
	"net"
)

// Other systems give all datagrams to one of the sockets, or have no such thing.
const sharesAddress = false

func listenShared(_, _ string) (net.PacketConn, error) { return nil, errors.ErrUnsupported }
