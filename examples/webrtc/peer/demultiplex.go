package peer

import (
	"net"
	"time"

	"github.com/pion/transport/v3/packetio"

	"github.com/godwit-dtls/godwit/dtls"
)

// A demultiplexer parts what comes on one path: DTLS and media. STUN never gets here:
// ICE has taken it.
type demultiplexer struct {
	path  net.Conn
	dtls  *branch
	media *branch
}

// maxWaiting bounds what waits for a reader: of DTLS it is more than SCTP's window.
const maxWaiting = 1 << 22

func demultiplex(path net.Conn) *demultiplexer {
	return &demultiplexer{path: path, dtls: newBranch(path), media: newBranch(path)}
}

// run ends with the path.
func (d *demultiplexer) run() {
	defer d.dtls.Close()
	defer d.media.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := d.path.Read(b)
		if err != nil {
			return
		}
		// A branch that is full or closed loses datagrams, as networks do.
		switch dtls.Classify(b[:n]) {
		case dtls.DTLSPacket:
			d.dtls.waiting.Write(b[:n])
		case dtls.RTPPacket, dtls.RTCPPacket:
			d.media.waiting.Write(b[:n])
		}
	}
}

// A branch is a path of which only one kind of datagrams comes.
type branch struct {
	net.Conn
	waiting *packetio.Buffer
}

func newBranch(path net.Conn) *branch {
	b := &branch{path, packetio.NewBuffer()}
	b.waiting.SetLimitSize(maxWaiting)
	return b
}

func (b *branch) Read(p []byte) (int, error)        { return b.waiting.Read(p) }
func (b *branch) Close() error                      { return b.waiting.Close() }
func (b *branch) SetReadDeadline(t time.Time) error { return b.waiting.SetReadDeadline(t) }
func (b *branch) SetDeadline(t time.Time) error     { return b.SetReadDeadline(t) } // writing never waits
func (b *branch) SetWriteDeadline(time.Time) error  { return nil }
