package dtls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

func shortHeaders(client, server *Config) {
	client.ShortRecordHeaders, server.ShortRecordHeaders = true, true
}

// Data has a header of two bytes, and of three in every 64th record; one side's
// headers are no business of the other's, and 1.2 knows nothing of it.
func TestShortHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(client, server *Config)
		overhead [2]int // of the client's records, the server's
	}{
		"both":       {shortHeaders, [2]int{2 + 1 + 16, 2 + 1 + 16}},
		"the client": {func(client, _ *Config) { client.ShortRecordHeaders = true }, [2]int{2 + 1 + 16, overhead13}},
		"the server": {func(_, server *Config) { server.ShortRecordHeaders = true }, [2]int{overhead13, 2 + 1 + 16}},
		"with IDs":   {together(shortHeaders, identified(8, 0)), [2]int{2 + 1 + 16, 10 + 1 + 16}},
		"padding":    {together(shortHeaders, padding(10)), [2]int{2 + 9 + 1 + 16, 2 + 9 + 1 + 16}},
		"1.2":        {together(shortHeaders, only12), [2]int{headerSize12 + 8 + 16, headerSize12 + 8 + 16}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := with(c.change)
			s := established(t, client, server)
			for i, d := range []*side{s.client, s.server} {
				sizes := map[int]int{}
				for range 640 {
					before := len(d.peer.read)
					record := d.seal("x")
					sizes[len(record)]++
					if d.peer.receive(record); len(d.peer.read) != before+1 {
						t.Fatalf("%s: a record doesn't arrive: %v", d.name, d.peer.err)
					}
				}
				longer := 0
				if short := c.overhead[i] != overhead13 && d.version.Is13(); short {
					longer = 10
				}
				if sizes[c.overhead[i]+1] != 640-longer || sizes[c.overhead[i]+2] != longer {
					t.Errorf("%s: records of %v bytes", d.name, sizes)
				}
			}
		})
	}
}

// Padding keeps to the peer's limit, though there are two bytes more in the buffer.
func TestShortHeadersPadding(t *testing.T) {
	client, server := with(shortHeaders, padding(1000), recordSizeLimit(64, 64))
	s := established(t, client, server)
	s.exchange()
	if n := len(s.client.seal("x")); n != 2+64+16 {
		t.Errorf("a record of %d bytes", n)
	}
}

// What stands before data in its datagram keeps its length: a KeyUpdate that
// answers the peer's.
//
// RFC 9147 4 [4]
func TestShortHeaderBehindKeyUpdate(t *testing.T) {
	client, server := with(shortHeaders)
	s := established(t, client, server)
	s.server.did(s.server.KeyUpdate(UpdateRequested, s.now))
	s.fate = losing(func(p *parcel) bool { return p.from == s.client }) // not even the ACK
	s.advance(latency)
	datagram := s.client.seal("data")
	h, ok := parseHeader13(datagram, 0)
	if rest := datagram[h.end:]; !ok || len(rest) == 0 || datagram[0]&bitLength == 0 || rest[0]&bitLength != 0 {
		t.Fatalf("%d bytes, %d of them behind % x", len(datagram), len(rest), datagram[:h.body])
	}
	s.server.receive(datagram)
	if got := s.server.read; len(got) != 1 || string(got[0]) != "data" {
		t.Errorf("%q, %v", got, s.server.err)
	}
	s.fate = prompt
	s.settle()
	s.exchange()
}

// All datagrams of a handshake but full ones end without a length, and those that
// data may follow in don't.
//
// RFC 9147 4 [4]
func TestShortHeadersOfFlights(t *testing.T) {
	client, server := with(shortHeaders, clientAuth)
	s := simulate(t, 0, client, server)
	s.settle()
	for _, p := range s.sent {
		last, rest := p.data, p.data
		for len(rest) > 0 {
			last = rest
			if isUnified(rest[0]) {
				h, _ := parseHeader13(rest, 0)
				rest = rest[h.end:]
			} else {
				_, rest, _ = parseHeader12(rest)
			}
		}
		if isUnified(last[0]) && last[0]&bitLength != 0 {
			t.Errorf("datagram %d of the %s ends with a length", p.index, p.from.name)
		}
	}
	e, buf := s.client.Engine, make([]byte, 1200)
	e.Abort(0, s.now)
	n, _ := e.transmitBefore(buf)
	if _, ok := parseHeader13(buf[:n], 0); !ok || buf[0]&bitLength == 0 {
		t.Errorf("% x", buf[:n])
	}
}

// Records without a length that come too early are kept apart: the server has
// no keys for them while it verifies the client's certificate.
func TestShortHeadersWait(t *testing.T) {
	client, server := with(shortHeaders, clientAuth)
	s := simulate(t, 0, client, server, func(s *simulation) {
		s.workTime = func() time.Duration { return 2 * latency }
	})
	if err := s.run(s.client.Open); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"one", "two", "three"} {
		s.send(s.client, s.client.seal(data), s.client.Path())
	}
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	var got []string
	buf := make([]byte, 10)
	for n, ok := s.server.Read(buf); ok; n, ok = s.server.Read(buf) {
		got = append(got, string(buf[:n]))
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("%q, %+v", got, s.server.Stats().Dropped)
	}
}

// Up to 127 records in a row may get lost, and of more than that the next one
// with 16 bits tells what number the peer is at.
func TestShortHeadersResynchronize(t *testing.T) {
	for _, lost := range []int{1, 127, 128, 200, 255, 256, 1000, 30000} {
		client, server := with(shortHeaders)
		s := established(t, client, server)
		for range lost {
			s.client.seal("lost")
		}
		missed := 0
		for ; len(s.server.read) == 0 && missed < 1000; missed++ {
			s.server.receive(s.client.seal("x"))
		}
		missed--
		if most := 0; lost <= 127 && missed > most || missed >= fullNumbers {
			t.Errorf("%d were lost, and then %d more", lost, missed)
		}
		s.server.read = nil
		s.exchange()
	}
}

// Early data has it, too, behind a ClientHello as alone.
func TestShortHeadersOfEarlyData(t *testing.T) {
	client, server := earlyConfigs(t, shortHeaders)
	s := later(t, 0, client, server)
	s.mustWriteEarly("one", "two")
	for _, p := range s.sent[len(s.sent)-2:] {
		if len(p.data) != 2+3+1+16 {
			t.Errorf("a datagram of %d bytes", len(p.data))
		}
	}
	s.arrive()
	if got := s.takeEarly(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
	s.settle()
}

// Every form is read, with and without an ID, whatever we write, alone in a
// datagram and behind others.
func TestReadEveryForm(t *testing.T) {
	for _, ids := range []func(client, server *Config){together(), identified(0, 5)} {
		client, server := with(ids)
		s := established(t, client, server)
		w := s.client.newest()
		var behind []byte
		want := 0
		for _, f := range []form{longForm, longForm & withoutLength, shortForm, shortForm & withoutLength} {
			for _, data := range []string{"x", strings.Repeat("data", 100)} {
				buf := make([]byte, 600)
				header := f.size() + len(w.id())
				n := copy(buf[header:], data)
				buf[header+n] = byte(protocol.ApplicationData)
				hidden := w.putHeader13(buf, f, w.sealer.SealedLen(n+1))
				record := w.sealer.Seal(buf[:header], buf[header:header+n+1], buf[:header], w.next)
				w.mask.Apply(hidden, record[header:])
				w.next++
				s.server.receive(append(slices.Clone(behind), record...))
				if want++; len(s.server.read) != want || string(s.server.read[want-1]) != data {
					t.Fatalf("form %04b, %d bytes: %+v", f, len(data), s.server.Stats().Dropped)
				}
				behind = s.client.record(w.number, protocol.ApplicationData, []byte("before"))
				want++
			}
		}
	}
}
