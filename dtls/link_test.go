package dtls

import (
	"net"
	"testing"
	"time"

	"github.com/pion/transport/v3/packetio"
)

// A buffered is a link of pion's kind: what it reads waits in a buffer, whose timeout
// is not os.ErrDeadlineExceeded.
type buffered struct {
	net.Conn
	*packetio.Buffer
}

func (b buffered) Read(p []byte) (int, error)        { return b.Buffer.Read(p) }
func (b buffered) Write(p []byte) (int, error)       { return b.Buffer.Write(p) }
func (b buffered) Close() error                      { return b.Buffer.Close() }
func (b buffered) SetReadDeadline(t time.Time) error { return b.Buffer.SetReadDeadline(t) }

// Whoever is woken reads on, and whoever runs into the deadline of the caller doesn't.
func TestLinkWake(t *testing.T) {
	b := buffered{Buffer: packetio.NewBuffer()}
	l := &connLink{conn: b}
	l.wake()
	if p, err := l.receive(); err != nil || len(p.data) != 0 {
		t.Fatalf("woken: %v, %v", p, err)
	}
	b.Write([]byte("datagram"))
	if p, err := l.receive(); err != nil || string(p.data) != "datagram" {
		t.Fatalf("after it: %v, %v", p, err)
	}
	l.setReadDeadline(past)
	if p, err := l.receive(); err == nil {
		t.Fatalf("after the deadline: %v", p)
	}
}
