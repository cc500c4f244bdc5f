package dtls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// How much memory a peer can make us hold: docs/memory.md has the table, which follows
// from the constants of the code. TestHostilePeer tries to exceed it. `go test ./dtls -run
// MemoryTable -update` writes it.

// A bound is how much an Engine holds at most, in bytes, by what it is.
type bound struct {
	client, is13 bool
	certificates int  // bytes of them that the peer may show
	signs        bool // a client of 1.2 has a certificate, too
	ids          bool // there are connection IDs, which 1.3 can change
}

// A share is a part of a bound.
type share struct {
	of    string
	bytes int
}

// structures are no constant of the code but of its compiler, and of our certificate: a
// little more than is measured.
const structures = 24 << 10

// assembled is what the pages of unfinished messages take that have so many bytes: with
// their bits, and the map that they are in.
func assembled(bytes int) int { return bytes + bytes*2/7 }

// shares are what an Engine holds at most, in the handshake or after it.
func (b bound) shares(open bool) (all []share) {
	add := func(of string, bytes int) {
		if bytes > 0 {
			all = append(all, share{of, bytes})
		}
	}
	message := b.message(open)
	add("Engine, Machine, keys, our flight", structures)
	add("numbers of records, for ACKs", 48*retransmit.Remembered+16*retransmit.MaxReceived)
	add("the next message, in pieces", assembled(message))
	add("messages behind it", assembled(min((fragment.Ahead-1)*message, maxAhead)))
	if !open {
		add("a message that waits for a callback", message)
		add("records that came meanwhile", maxHeld*5/4)
		if !b.client {
			add("the ClientHello, and lists from it", 12*handshake.DefaultMaxSplitHello)
		}
		if !b.is13 && (b.signs || !b.client && b.certificates > 0) {
			add("all messages, for CertificateVerify", b.all12()*5/4)
		}
	}
	add("the peer's certificates", cert.Expansion*b.certificates)
	if b.ids && b.is13 {
		add("connection IDs", 2*maxIDs*256)
	}
	return all
}

func (b bound) of(open bool) (sum int) {
	for _, s := range b.shares(open) {
		sum += s.bytes
	}
	return sum
}

// message is the largest message that the Engine takes; a server's until it has the
// ClientHello is larger, but then it has nothing else.
func (b bound) message(open bool) int {
	most := anyMessage
	if !open {
		most = max(most, b.certificates)
	}
	for step, may := range map[handshake.Step]bool{
		handshake.CertificateStatus:     b.client && !open,
		handshake.ClientKeyExchange:     !b.client && !open && !b.is13,
		handshake.PostTicket:            b.client && b.is13,
		handshake.ClientNewConnectionID: b.ids && b.is13,
	} {
		if may {
			most = max(most, step.MaxBody())
		}
	}
	return most
}

// all12 are all messages of a handshake of 1.2 that the peer writes.
func (b bound) all12() (sum int) {
	steps := []handshake.Step{handshake.ClientHello, handshake.ClientKeyExchange, handshake.ClientCertificateVerify}
	if b.client {
		steps = []handshake.Step{handshake.ServerHello, handshake.CertificateStatus, handshake.ServerKeyExchange, handshake.CertificateRequest}
	}
	for _, s := range steps {
		sum += s.MaxBody()
	}
	return sum + b.certificates
}

// HandshakeBound is what a peer of a Listener with a default Config may hold before its
// handshake is complete, with what waits for it.
func HandshakeBound() int {
	return max(bound{is13: true}.of(false), bound{}.of(false)) + connSize + maxFirstQueue
}

// DefaultMaxHandshakes is for tests of whole servers.
const DefaultMaxHandshakes = handshake.DefaultMaxHandshakes

// connSize is a little more than what a Conn and its link have beside the Engine.
const connSize = 4 << 10

// bounds are the columns of the tables.
var bounds = []struct {
	name string
	bound
}{
	{"1.3 server", bound{is13: true}},
	{"that asks for certificates", bound{is13: true, certificates: handshake.DefaultMaxCertificateList}},
	{"1.3 client", bound{is13: true, client: true, certificates: handshake.DefaultMaxCertificateList}},
	{"1.2 server", bound{}},
	{"that asks for certificates", bound{certificates: handshake.DefaultMaxCertificateList}},
	{"1.2 client", bound{client: true, certificates: handshake.DefaultMaxCertificateList}},
	{"with a certificate", bound{client: true, certificates: handshake.DefaultMaxCertificateList, signs: true}},
}

// memoryTable has the shares, in the handshake or after it, in KiB.
func memoryTable(open bool) string {
	rows, lines := []string{}, map[string][]string{}
	enter := func(column int, shares ...share) {
		for _, s := range shares {
			if lines[s.of] == nil {
				rows, lines[s.of] = append(rows, s.of), make([]string, len(bounds))
			}
			lines[s.of][column] = fmt.Sprint((s.bytes + 1<<10 - 1) >> 10)
		}
	}
	for i, column := range bounds {
		enter(i, column.shares(open)...)
	}
	for i, column := range bounds {
		enter(i, share{"**Engine**", column.of(open)})
		if open {
			enter(i, share{"datagrams that wait for Read", maxQueueSize + connSize}, share{"data that waits for it", maxBacklog * 5 / 4})
		} else {
			enter(i, share{"datagrams that wait for Handshake", maxFirstQueue + connSize})
		}
	}
	var b strings.Builder
	b.WriteString("| KiB |")
	for _, column := range bounds {
		b.WriteString(" " + column.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(bounds)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row, strings.Join(lines[row], " | "))
	}
	return b.String()
}

// The document has the tables.
func TestMemoryTable(t *testing.T) {
	before := fmt.Sprintf("A Listener has %d KiB for ClientHellos in pieces, and at most %d handshakes at once.\n",
		handshake.DefaultSplitHellos*handshake.DefaultMaxSplitHello>>10, handshake.DefaultMaxHandshakes)
	keepTable(t, "../docs/memory.md", "MemoryTable", before+"\nIn the handshake:\n\n"+memoryTable(false)+"\nEstablished:\n\n"+memoryTable(true))
}

// What waits for a reader that isn't there takes its bytes and two more for each record,
// however small they are.
func TestBacklogOfSmallRecords(t *testing.T) {
	client, server := with()
	c := newConn(nil, established(t, client, server).client.Engine, new(alarms))
	for range 4 * maxBacklog {
		c.engine.inbox.add([]byte{1})
		c.stash()
	}
	if got := cap(c.backlog); len(c.backlog) != maxBacklog/3*3 || got > maxBacklog*5/4 {
		t.Errorf("%d bytes wait in %d", len(c.backlog), got)
	}
	count := 0
	for data, ok := c.backlog.next(); ok; data, ok = c.backlog.next() {
		if count++; len(data) != 1 || data[0] != 1 {
			t.Fatalf("record %d is %x", count, data)
		}
	}
	if count != maxBacklog/3 || c.backlog != nil {
		t.Errorf("%d records", count)
	}
}

// Datagrams wait in so many bytes of buffers: large ones in fewer places.
func TestMailboxRoom(t *testing.T) {
	for _, c := range []struct{ size, most, want int }{
		{1, maxQueueSize, maxQueue}, {1, maxFirstQueue, maxFirstQueue / smallPacket}, {maxRecordBody, maxQueueSize, maxQueueSize / largePacket},
	} {
		m := mailbox{packets: make(chan *packet, maxQueue)}
		for range 2 { // what was taken makes room
			count := 0
			for m.put(newPacket(c.size), int64(c.most)) {
				count++
			}
			if count != c.want {
				t.Errorf("%d packets for %d bytes wait, want %d", count, c.size, c.want)
			}
			for p := m.take(); p != nil; p = m.take() {
				p.release()
			}
		}
	}
}
