package dtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/rogue"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A hostile peer holds the keys of its association, and does with them what it likes:
// between two steps of a handshake, which commits a fault of the rogue's or none, and
// after it.
type hostile struct {
	s          *simulation
	me, victim *side
	random     *rand.Rand
	epoch      uint64                  // of what it says now
	begun      map[int]fragment.Header // messages that it has begun to say, by message_seq
	told       [][]byte                // datagrams
	did        []string
	open       bool // the victim is, at the end
}

// hostility is a setting with the role of the victim, and what may come of it.
type hostility struct {
	setting
	victim handshake.Role
	bound  bound
}

func newHostile(t *testing.T, h hostility, seed uint64, faults [][]rogue.Fault) *hostile {
	client, server := with(h.change)
	random := rand.New(rand.NewPCG(seed, 7))
	p := &hostile{random: random, begun: map[int]fragment.Header{}}
	simulate(t, seed, client, server, func(s *simulation) {
		p.s, p.me, p.victim = s, s.client, s.server
		if h.victim == handshake.Client {
			p.me, p.victim = s.server, s.client
		}
		layer := &rogue.Layer{Layer: hoarder{(*layer)(p.me.Engine)}, Other: new(rogue.Layer), At: -1}
		if random.IntN(4) == 0 {
			layer.At = random.IntN(len(faults))
			if some := faults[layer.At]; len(some) > 0 {
				layer.Fault = some[random.IntN(len(some))]
			}
		}
		if p.me == s.client {
			p.me.machine = handshake.NewClient(client, protocol.Datagram, layer)
		} else {
			p.me.machine = handshake.NewServer(server, protocol.Datagram, layer)
		}
		p.me.machine.Identify = p.me.ids.make
	})
	return p
}

// faultsOf are those that the adversary of a victim can commit.
func faultsOf(t *testing.T, h hostility) [][]rogue.Fault {
	client, server := with(h.change)
	s, layer := betrayed(t, client, server, h.victim.Peer(), rogue.Lawful, -1)
	s.settle()
	return layer.Faults(protocol.Datagram)
}

// tell gives the victim a record.
func (p *hostile) tell(kind protocol.ContentType, payload []byte) {
	p.receive(p.me.record(p.epoch, kind, payload))
}

// chooseEpoch is among those that it has keys of, mostly the newest.
func (p *hostile) chooseEpoch() {
	p.epoch = p.me.newest().number
	if p.random.IntN(4) == 0 {
		epochs := slices.Sorted(maps.Keys(p.me.epochs))
		p.epoch = epochs[p.random.IntN(len(epochs))]
	}
}

func (p *hostile) receive(datagram []byte) {
	if p.victim.err == nil {
		p.told = append(p.told, bytes.Clone(datagram))
		p.victim.receive(datagram)
	}
}

// acts are what it does.
var acts = []struct {
	name string
	act  func(p *hostile)
}{
	{"lawful", func(p *hostile) {
		for range 1 + p.random.IntN(12) {
			p.s.step()
		}
	}},
	{"time passes", func(p *hostile) { p.s.advance(time.Duration(p.random.IntN(3000)) * time.Millisecond) }},
	{"a byte on each page of all messages", (*hostile).fill},
	{"claimed lengths", func(p *hostile) {
		length := []int{p.victim.assembler.Limit, p.victim.assembler.Limit + 1, 1<<24 - 1}[p.random.IntN(3)]
		p.hoard(p.random.IntN(8), length, 1+p.random.IntN(1000), 1)
	}},
	{"most of a long message", func(p *hostile) { p.hoard(p.random.IntN(2), p.victim.assembler.Limit, 1000, 1000) }},
	{"messages byte by byte", func(p *hostile) {
		for n := range 8 {
			p.hoard(n, 300, 1, 1)
		}
	}},
	{"records of no epoch", func(p *hostile) {
		for range 50 {
			b := make([]byte, 20+p.random.IntN(1200))
			for i := range b {
				b[i] = byte(p.random.Uint32())
			}
			b[0] = 0x20 | b[0]&0x0f
			p.receive(b)
			p.receive(forged12(protocol.Handshake, uint64(p.random.IntN(5)), p.random.Uint64(), b))
		}
	}},
	{"ACKs", func(p *hostile) {
		var b []byte
		for range p.random.IntN(900) {
			b = binary.BigEndian.AppendUint64(b, uint64(p.random.IntN(5)))
			b = binary.BigEndian.AppendUint64(b, p.random.Uint64N(100))
		}
		p.tell(protocol.ACK, append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}},
	{"all of it again", func(p *hostile) {
		for _, sent := range p.s.sent {
			if sent.from == p.me {
				p.receive(sent.data)
			}
		}
		for _, b := range p.told[max(0, len(p.told)-100):] {
			p.victim.receive(b)
		}
	}},
	{"empty records", func(p *hostile) {
		for range 100 {
			p.tell(protocol.ApplicationData, nil)
		}
	}},
	{"warnings", func(p *hostile) {
		for range 100 {
			p.tell(protocol.Alert, []byte{1, 90})
		}
	}},
	{"ChangeCipherSpec", func(p *hostile) {
		for range 100 {
			p.tell(protocol.ChangeCipherSpec, []byte{1})
		}
	}},
	{"data", func(p *hostile) {
		for range 10 {
			p.tell(protocol.ApplicationData, make([]byte, p.random.IntN(maxRecordBody)))
		}
	}},
	{"tickets", func(p *hostile) {
		for range 5 {
			p.say(protocol.NewSessionTicket, &message.NewSessionTicket13{Lifetime: 100, Nonce: make([]byte, 255), Ticket: make([]byte, 1<<15)})
		}
	}},
	{"connection IDs", func(p *hostile) {
		ids := make([][]byte, 120)
		for i := range ids {
			ids[i] = bytes.Repeat([]byte{byte(i)}, 255)
		}
		p.say(protocol.NewConnectionID, &message.NewConnectionID{IDs: ids, Usage: uint8(p.random.IntN(2))})
		p.say(protocol.RequestConnectionID, &message.RequestConnectionID{Count: 255})
	}},
	{"KeyUpdates", func(p *hostile) {
		for range 10 {
			if p.me.Open() && p.me.version.Is13() && p.me.Err() == nil {
				p.me.KeyUpdate(UpdateRequested, p.s.now)
				p.me.transmit()
				p.s.advance(100 * time.Millisecond)
			}
		}
	}},
	{"challenges", func(p *hostile) {
		for n := range 50 {
			p.tell(protocol.ReturnRoutability, append([]byte{byte(p.random.IntN(3))}, make([]byte, 8)...))
			p.me.at.Remote = loopback(n)
		}
	}},
}

// say sends one whole message, with the next message_seq.
func (p *hostile) say(kind protocol.HandshakeType, m interface{ Append(*wire.Builder) }) {
	b := wire.NewBuilder(nil)
	m.Append(b)
	body, _ := b.Bytes()
	seq := p.victim.assembler.Next()
	h := fragment.Header{Type: uint8(kind), Length: len(body), Seq: seq}
	for from := 0; from < len(body); from += 1000 {
		part, piece := fragment.Split(h, body, from, 1000)
		p.tell(protocol.Handshake, append(part.Append(nil), piece...))
	}
}

// fill sends a byte of each page of all messages that can wait, the last one first.
func (p *hostile) fill() {
	for n := fragment.Ahead - 1; n >= 0; n-- {
		p.hoard(n, p.victim.assembler.Limit, 256, 1)
	}
}

// hoard sends so many bytes at every stride of the message n ahead, unless it has begun
// to say another one.
func (p *hostile) hoard(n, length, stride, size int) {
	seq := int(p.victim.assembler.Next()) + n
	h, begun := p.begun[seq]
	if !begun {
		kinds := []protocol.HandshakeType{protocol.Certificate, protocol.ServerHello, protocol.ClientKeyExchange, protocol.Finished}
		h = fragment.Header{Type: uint8(kinds[p.random.IntN(len(kinds))]), Length: length}
		p.begun[seq] = h
	}
	var payload []byte
	for from := 0; from+size < min(h.Length, 1<<17); from += stride {
		payload = append(payload, piece(protocol.HandshakeType(h.Type), uint16(seq), h.Length, from, make([]byte, size))...)
		if len(payload) > 1200 {
			p.tell(protocol.Handshake, payload)
			payload = nil
		}
	}
	if len(payload) > 0 {
		p.tell(protocol.Handshake, payload)
	}
}

var hostilities = []hostility{
	{setting{"1.3, server", together()}, handshake.Server, bound{is13: true}},
	{setting{"1.3, server, with all", together(clientAuth, dense, identified(4, 4))}, handshake.Server, bound{is13: true, certificates: denseList, ids: true}},
	{setting{"1.3, client", dense}, handshake.Client, bound{is13: true, client: true, certificates: denseList}},
	{setting{"1.3, client, with all", together(clientAuth, dense, identified(4, 4))}, handshake.Client, bound{is13: true, client: true, certificates: denseList, ids: true}},
	{setting{"1.2, server", only12}, handshake.Server, bound{}},
	{setting{"1.2, server, with all", together(only12, clientAuth, dense, identified(4, 4))}, handshake.Server, bound{certificates: denseList}},
	{setting{"1.2, client", together(only12, dense)}, handshake.Client, bound{client: true, certificates: denseList}},
	{setting{"1.2, client, with all", together(only12, clientAuth, stapled, dense)}, handshake.Client, bound{client: true, certificates: denseList, signs: true}},
}

// denseList is Config.MaxCertificateList of those who get dense certificates.
const denseList = 1 << 14

// dense lets both sides show as many certificates as the other one takes, and each has the
// names of many usages, which costs most.
func dense(client, server *Config) {
	client.MaxCertificateList, server.MaxCertificateList = denseList, denseList
	certificate := denseCertificate()
	server.Certificates = []tls.Certificate{certificate}
	if len(client.Certificates) > 0 {
		client.Certificates = []tls.Certificate{certificate}
	}
}

// denseCertificate is another one each time: what many peers show is there once.
func denseCertificate() tls.Certificate {
	root, rootKey := issue(1, "root", nil, nil)
	leaf, key := issue(4, "leaf.example", root, rootKey)
	for range 1000 {
		leaf.UnknownExtKeyUsage = append(leaf.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 2})
	}
	c := tls.Certificate{PrivateKey: key}
	for serial := range int64(4) { // the first is the leaf, the others are of no use
		leaf.SerialNumber = big.NewInt(serial)
		der, err := x509.CreateCertificate(nil, leaf, root, key.Public(), rootKey)
		if err != nil {
			panic(err)
		}
		c.Certificate = append(c.Certificate, der)
	}
	return c
}

// Whatever a peer does, an Engine never holds more than docs/memory.md says.
func TestHostilePeer(t *testing.T) {
	if !Alone(t) {
		return
	}
	if RaceDetector {
		t.Skip("the race detector takes memory of its own")
	}
	for _, h := range hostilities {
		t.Run(h.name, func(t *testing.T) {
			faults, most := faultsOf(t, h), map[bool]int{}
			for first := 0; first < runs(10*hostiles); first += hostiles {
				var crowd []*hostile
				for seed := first; seed < first+hostiles; seed++ {
					p := newHostile(t, h, uint64(seed), faults)
					if seed < hostiles/2 {
						p.hoardAfter(3 * seed)
					} else {
						p.attack()
					}
					p.rest()
					crowd = append(crowd, p)
				}
				for i, size := range sizesOf(crowd) {
					p := crowd[i]
					most[p.open] = max(most[p.open], size)
					if allowed := h.bound.of(p.open); size > allowed {
						t.Errorf("seed %d: %d bytes, more than %d (open: %v) after %q", first+i, size, allowed, p.open, p.did)
					}
				}
			}
			t.Logf("at most %d of %d bytes in the handshake, and %d of %d after it", most[false], h.bound.of(false), most[true], h.bound.of(true))
			for _, open := range []bool{false, true} {
				if most[open] == 0 {
					t.Errorf("nobody whose handshake is complete (%v): the test tests nothing", open)
				}
			}
		})
	}
}

// hostiles are there at the same time, of which half hoard and the others attack.
const hostiles = 20

// hoardAfter is lawful for so many steps, and then has all wait that can.
func (p *hostile) hoardAfter(steps int) {
	for range steps {
		p.s.step()
	}
	p.epoch = p.me.newest().number
	p.did = []string{fmt.Sprint(steps, " steps")}
	p.fill()
}

// attack does a dozen things, one after the other, or fewer.
func (p *hostile) attack() {
	for range 1 + p.random.IntN(12) {
		if p.victim.err != nil {
			break
		}
		a := acts[p.random.IntN(len(acts))]
		if p.random.IntN(3) == 0 {
			a = acts[0]
		}
		p.did = append(p.did, a.name)
		p.chooseEpoch()
		a.act(p)
	}
}

// rest leaves only what the victim holds.
func (p *hostile) rest() {
	p.open = p.victim.Open()
	p.s.air, p.s.sent, p.told, p.victim.read, p.victim.epochs, p.victim.work = nil, nil, nil, nil, nil, nil
	p.me.Engine, p.me.epochs = nil, nil
}

// sizesOf lets go of one victim after the other, and says how much memory each held.
func sizesOf(crowd []*hostile) (sizes []int) {
	before, _ := heapInUse()
	for _, p := range crowd {
		p.victim.Engine = nil
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		sizes = append(sizes, int(before)-int(m.HeapAlloc))
		before = m.HeapAlloc
	}
	runtime.KeepAlive(crowd)
	return sizes
}
