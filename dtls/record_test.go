package dtls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func TestHeader12(t *testing.T) {
	for _, n := range []protocol.RecordNumber{{}, {Sequence: 1}, {Epoch: 1, Sequence: 0x010203040506}, {Epoch: 0xffff, Sequence: maxSequence12}} {
		record := make([]byte, headerSize12, 100)
		body := []byte("a body")
		putHeader12(record, protocol.Handshake, protocol.VersionDTLS12, n, len(body))
		record = append(record, body...)
		h, rest, ok := parseHeader12(append(record, "more"...))
		if !ok || h.kind != protocol.Handshake || h.version != protocol.VersionDTLS12 || h.number != n ||
			!bytes.Equal(h.body, body) || string(rest) != "more" {
			t.Errorf("%v: %+v, rest %q, %v", n, h, rest, ok)
		}
		for size := range record {
			if _, _, ok := parseHeader12(record[:size]); ok {
				t.Errorf("%v: the first %d bytes are a record", n, size)
			}
		}
	}
}

func TestHeader12Bytes(t *testing.T) {
	n := protocol.RecordNumber{Epoch: 0x0102, Sequence: 0x030405060708}
	var header [headerSize12]byte
	putHeader12(header[:], protocol.ApplicationData, protocol.VersionDTLS12, n, 0x090a)
	if want := []byte{23, 0xfe, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !bytes.Equal(header[:], want) {
		t.Errorf("header % x, want % x", header, want)
	}
	additional := appendAdditional12(nil, protocol.ApplicationData, n, nil, 0x090a)
	if want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 23, 0xfe, 0xfd, 9, 10}; !bytes.Equal(additional, want) {
		t.Errorf("additional data % x, want % x", additional, want)
	}
}

// RFC 9146 4 and 5.
//
// RFC 9146 3 [4, 7]
func TestIdentifiedHeader12Bytes(t *testing.T) {
	n := protocol.RecordNumber{Epoch: 0x0102, Sequence: 0x030405060708}
	id := []byte("id")
	header := make([]byte, headerSize12+len(id))
	putIdentified12(header, protocol.ConnectionID, protocol.VersionDTLS12, n, id, 0x090a)
	if want := []byte{25, 0xfe, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 'i', 'd', 9, 10}; !bytes.Equal(header, want) {
		t.Errorf("header % x, want % x", header, want)
	}
	additional := appendAdditional12(nil, protocol.ConnectionID, n, id, 0x090a)
	want := []byte{255, 255, 255, 255, 255, 255, 255, 255, 25, 2, 25, 0xfe, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 'i', 'd', 9, 10}
	if !bytes.Equal(additional, want) {
		t.Errorf("additional data % x, want % x", additional, want)
	}
}

// form13 is a unified header in one of its forms, its connection ID apart.
func form13(flags byte, sequence uint16, length int) []byte {
	h := []byte{unifiedBits | flags}
	if flags&bitNumber16 != 0 {
		h = binary.BigEndian.AppendUint16(h, sequence)
	} else {
		h = append(h, byte(sequence))
	}
	if flags&bitLength != 0 {
		h = binary.BigEndian.AppendUint16(h, uint16(length))
	}
	return h
}

// RFC 9147 4.1 [2]
func TestHeader13EveryForm(t *testing.T) {
	body, id := []byte("sixteen bytes or more"), []byte("connection ID")
	for flags := range 2 * byte(bitCID) {
		header, at := form13(flags, 0x1234, len(body)), 1
		if hasID(flags) {
			header, at = slices.Insert(header, 1, id...), 1+len(id)
		}
		record := append(header, body...)
		datagram := append(bytes.Clone(record), "more"...)
		wantBody, wantRest := "sixteen bytes or more", "more"
		if flags&bitLength == 0 { // it goes on to the end
			wantBody, wantRest = wantBody+wantRest, ""
		}
		h, ok := parseHeader13(datagram, len(id))
		if !ok || !isUnified(datagram[0]) || h.body != len(header) || string(datagram[h.body:h.end]) != wantBody || string(datagram[h.end:]) != wantRest {
			t.Errorf("flags %04b: %+v of %q, %v", flags, h, datagram, ok)
		}
		if want := header[at : at+1+int(flags>>3&1)]; !bytes.Equal(h.numberIn(datagram), want) {
			t.Errorf("flags %04b: number % x, want % x", flags, h.numberIn(datagram), want)
		}
		for size := 1; size < len(record); size++ {
			if _, ok := parseHeader13(record[:size], len(id)); ok && (flags&bitLength != 0 || size < len(header)) {
				t.Errorf("flags %04b: the first %d bytes are a record", flags, size)
			}
		}
	}
}

func TestHeader13IsThePutForm(t *testing.T) {
	for _, c := range []struct {
		form form
		id   string
		want []byte
	}{
		{longForm, "", []byte{0b0010_1111, 2, 1, 4, 5}},
		{longForm, "id", []byte{0b0011_1111, 'i', 'd', 2, 1, 4, 5}},
		{longForm & withoutLength, "", []byte{0b0010_1011, 2, 1}},
		{longForm & withoutLength, "id", []byte{0b0011_1011, 'i', 'd', 2, 1}},
		{shortForm, "", []byte{0b0010_0111, 1, 4, 5}},
		{shortForm, "id", []byte{0b0011_0111, 'i', 'd', 1, 4, 5}},
		{shortForm & withoutLength, "", []byte{0b0010_0011, 1}},
		{shortForm & withoutLength, "id", []byte{0b0011_0011, 'i', 'd', 1}},
	} {
		b := make([]byte, c.form.size()+len(c.id))
		w := writeEpoch{number: 7, next: 0x30201, ids: &connectionIDs{remote: []byte(c.id)}}
		number := w.putHeader13(b, c.form, 0x405)
		if !bytes.Equal(b, c.want) || &number[0] != &b[1+len(c.id)] || len(number) != 1+int(c.form>>3&1) {
			t.Errorf("form %04b, ID %q: % x, number % x, want % x", c.form, c.id, b, number, c.want)
		}
	}
	for first := range 256 {
		if want := first >= 32 && first < 64; isUnified(byte(first)) != want { // RFC 9147 4.1
			t.Errorf("isUnified(%d) = %v", first, !want)
		}
	}
}

// closest is rebuild as RFC 9147 4.2.2 puts it: of all numbers that end like
// that, the one closest to next. It returns the distance.
func closest(low, span, next uint64) (distance uint64) {
	distance = math.MaxUint64
	base := next &^ (span - 1)
	for _, n := range []uint64{base - span + low, base + low, base + span + low} {
		if n > base && n-base > 2*span || n < base && base-n > span {
			continue // it wrapped around
		}
		distance = min(distance, max(n, next)-min(n, next))
	}
	return distance
}

// RFC 9147 4.2.2 [2]
func TestRebuild(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	nexts := []uint64{0, 1, 127, 128, 129, 255, 256, 257, 1<<15 - 1, 1 << 15, 1<<15 + 1, 1<<16 - 1, 1 << 16, 1<<16 + 1,
		maxSequence12, maxSequence12 + 1, math.MaxUint64 - 1<<16, math.MaxUint64 - 256, math.MaxUint64 - 1, math.MaxUint64}
	for range 200 {
		nexts = append(nexts, random.Uint64()>>random.IntN(64))
	}
	for _, next := range nexts {
		for low := range 256 {
			checkRebuild(t, []byte{byte(low)}, next)
		}
		for range 256 {
			checkRebuild(t, binary.BigEndian.AppendUint16(nil, uint16(random.Uint32())), next)
		}
		checkRebuild(t, binary.BigEndian.AppendUint16(nil, uint16(next)+1<<15), next)
	}
}

func checkRebuild(t *testing.T, truncated []byte, next uint64) {
	t.Helper()
	got := rebuild(truncated, next)
	span, low := uint64(1)<<(8*len(truncated)), uint64(0)
	for _, b := range truncated {
		low = low<<8 | uint64(b)
	}
	if got&(span-1) != low {
		t.Fatalf("rebuild(% x, %d) = %d ends otherwise", truncated, next, got)
	}
	if distance, want := max(got, next)-min(got, next), closest(low, span, next); distance != want {
		t.Fatalf("rebuild(% x, %d) = %d is %d away, the closest is %d away", truncated, next, got, distance, want)
	}
}

// A record comes back out of what finish made of it, in every suite.
func TestRecordRoundTrip(t *testing.T) {
	for _, c := range protections {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := established(t, client, server)
			for _, size := range []int{0, 1, 2, 15, 16, 17, 255, 1200, maxRecordBody} {
				data := bytes.Repeat([]byte{byte(size)}, size)
				record := s.client.seal(string(data))
				if want := s.client.newest().size(size); len(record) != want {
					t.Errorf("%d bytes make a record of %d, want %d", size, len(record), want)
				}
				s.server.read = nil
				s.server.receive(record)
				if size == 0 && len(s.server.read) == 0 {
					continue // an empty record says nothing
				}
				if len(s.server.read) != 1 || !bytes.Equal(s.server.read[0], data) {
					t.Fatalf("%d bytes: read %d records (%v)", size, len(s.server.read), s.server.Err())
				}
			}
			if _, err := s.client.Write(make([]byte, 1<<16), make([]byte, maxRecordBody+1), s.now); err != ErrTooLong {
				t.Errorf("%d bytes: %v, want ErrTooLong", maxRecordBody+1, err)
			}
			if _, err := s.client.Write(make([]byte, s.client.newest().size(10)-1), make([]byte, 10), s.now); err != ErrTooLong {
				t.Errorf("a buffer that is short by a byte: %v, want ErrTooLong", err)
			}
		})
	}
}

// A peer may write any form of the unified header (RFC 9147 4).
//
// RFC 9147 4.1 [3]
func TestReceiveEveryForm13(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	for flags := byte(0); flags < bitCID; flags += bitLength {
		w := s.client.newest()
		header := form13(flags|byte(w.number)&epochBits, uint16(w.next), 16+1+5)
		inner := append([]byte("hello"), byte(protocol.ApplicationData), 0, 0, 0) // with padding
		if flags&bitLength != 0 {
			binary.BigEndian.PutUint16(header[len(header)-2:], uint16(len(inner)+16))
		}
		record := w.sealer.Seal(bytes.Clone(header), inner, header, w.next)
		w.mask.Apply(record[1:2+flags>>3], record[len(header):])
		w.next++
		s.server.read = nil
		s.server.receive(record)
		if len(s.server.read) != 1 || string(s.server.read[0]) != "hello" {
			t.Errorf("flags %04b: read %q, %+v", flags, s.server.read, s.server.Stats())
		}
	}
}

// Several records in one datagram are read one by one (RFC 9147 4.3).
func TestInbox(t *testing.T) {
	for _, c := range protections {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := established(t, client, server)
			var datagram []byte
			var want []string
			for _, size := range []int{1, 0, 100, 7, 1, 0, 1000, 2} {
				data := string(bytes.Repeat([]byte{'a' + byte(len(want))}, size))
				datagram = append(datagram, s.client.seal(data)...)
				if size > 0 {
					want = append(want, data)
				}
			}
			s.server.receive(datagram)
			if len(s.server.read) != len(want) {
				t.Fatalf("read %d records, want %d", len(s.server.read), len(want))
			}
			for i := range want {
				if string(s.server.read[i]) != want[i] {
					t.Errorf("record %d: %q, want %q", i, s.server.read[i], want[i])
				}
			}
			s.server.Receive(s.client.seal("a long record"), s.now)
			short := make([]byte, 6)
			if n, ok := s.server.Read(short); n != 13 || !ok || string(short) != "a long" {
				t.Errorf("Read into too little: %d, %v, %q", n, ok, short)
			}
			if n, ok := s.server.Read(short); ok {
				t.Errorf("there is more: %d", n)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	record := make([]byte, headerSize12)
	putHeader12(record, protocol.Alert, protocol.VersionDTLS12, protocol.RecordNumber{Epoch: 1, Sequence: 2}, 2)
	f.Add(append(record, 1, 0, 0xaa), uint64(3))
	for flags := byte(0); flags < 2*bitCID; flags++ {
		f.Add(append(form13(flags, 0x1234, 4), 1, 2, 3, 4, 5), uint64(0x1200))
	}
	f.Fuzz(func(t *testing.T, in []byte, next uint64) {
		if len(in) == 0 {
			return
		}
		if !isUnified(in[0]) {
			h, rest, ok := parseHeader12(in)
			if !ok {
				return
			}
			again := make([]byte, headerSize12)
			putHeader12(again, h.kind, protocol.VersionDTLS12, h.number, len(h.body))
			binary.BigEndian.PutUint16(again[1:], uint16(h.version))
			if again = append(append(again, h.body...), rest...); !bytes.Equal(again, in) {
				t.Fatalf("% x became % x", in, again)
			}
			return
		}
		h, ok := parseHeader13(in, int(next%5))
		if !ok {
			return
		}
		if h.number < 1 || h.body <= h.number || h.end < h.body || h.end > len(in) {
			t.Fatalf("% x is %+v", in, h)
		}
		checkRebuild(t, h.numberIn(in), next)
	})
}

// A hello before the version is known says 1.0 in its record, everything else
// 1.2 (RFC 6347 4.2.1, RFC 9147 4).
//
// RFC 9147 4 [2]
func TestRecordVersion(t *testing.T) {
	for _, c := range []setting{{"1.3", together()}, {"1.3, HelloRetryRequest", retry}, {"1.2", only12}} {
		client, server := with(c.change)
		s := simulate(t, 0, client, server)
		s.settle()
		for i, p := range s.sent {
			want := protocol.VersionDTLS12
			if i == 0 {
				want = protocol.VersionDTLS10
			}
			for rest := p.data; len(rest) > 0 && !isUnified(rest[0]); {
				var h header12
				if h, rest, _ = parseHeader12(rest); h.version != want {
					t.Errorf("%s: datagram %d, by the %s: %v, want %v", c.name, i, p.from.name, h.version, want)
				}
			}
		}
	}
	// A HelloVerifyRequest doesn't tell the version.
	client, server := with(only12)
	again := newCaller(t, client).answer(testGreeter(server))
	if h, _, _ := parseHeader12(again[0]); h.version != protocol.VersionDTLS10 {
		t.Errorf("after HelloVerifyRequest: %v", h.version)
	}
}

// In 1.3 there is no ChangeCipherSpec over datagrams (RFC 9147 5).
//
// RFC 9147 5 [1]
func TestNoChangeCipherSpec13(t *testing.T) {
	for _, c := range settings {
		client, server := with(c.change)
		count := 0
		note := func(e Event) {
			if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content == protocol.ChangeCipherSpec {
				count++
			}
		}
		client.Trace, server.Trace = note, note
		s := simulate(t, 0, client, server)
		s.settle()
		want := 2
		if s.client.version.Is13() {
			want = 0
		}
		if count != want {
			t.Errorf("%s: %d", c.name, count)
		}
	}
}

// In 1.2 nothing but Finished comes under keys: a handshake that begins anew is
// refused. It begins with message_seq 0, so that it looks like a late copy.
func TestRenegotiation(t *testing.T) {
	for _, c := range []struct {
		kind protocol.HandshakeType
		from func(s *simulation) *side
		body []byte
	}{
		{protocol.HelloRequest, func(s *simulation) *side { return s.server }, nil},
		{protocol.ClientHello, func(s *simulation) *side { return s.client }, make([]byte, 50)},
	} {
		client, server := with(only12)
		s := established(t, client, server)
		from := c.from(s)
		from.peer.receive(forged12(protocol.Handshake, 0, 99, whole(c.kind, 0, c.body)))
		if from.peer.err != nil {
			t.Fatalf("%v in plaintext: %v", c.kind, from.peer.err)
		}
		from.peer.receive(from.record(1, protocol.Handshake, whole(c.kind, 0, c.body)))
		expectAlert(t, from.peer.err, alert.UnexpectedMessage)
	}
}

// After the peer's last Finished of 1.2 nothing more comes, be it before, beside
// or behind it.
func TestFinishedTwice(t *testing.T) {
	for _, c := range []struct {
		name   string
		order  []int // in one record each
		record bool  // all in one record
		want   alert.Reason
	}{
		{"behind", []int{0, 1}, false, alert.UnexpectedRecord},
		{"before", []int{1, 0}, false, alert.ExcessHandshakeData},
		{"beside", []int{0, 1}, true, alert.ExcessHandshakeData},
	} {
		client, server := with(only12)
		server.ServerSessionCache = NewLRUServerSessionCache(1) // work between Finished and the end
		server.SessionTicketsDisabled = true
		s := simulate(t, 0, client, server)
		if err := s.run(func() bool { return s.client.epochs[1] != nil }); err != nil {
			t.Fatal(err)
		}
		flight := s.air[len(s.air)-1].data
		s.air = nil
		var messages [2][]byte
		s.client.flight.Rewind()
		for part, ok := s.client.flight.Next(1 << 14); ok; part, ok = s.client.flight.Next(1 << 14) {
			messages[0] = part.Message // the last one is Finished
		}
		seq, body := binary.BigEndian.Uint16(messages[0][4:]), messages[0][fragment.HeaderSize:]
		messages[0], messages[1] = whole(protocol.Finished, seq, body), whole(protocol.Finished, seq+1, body)
		for h, rest, _ := parseHeader12(flight); h.number.Epoch == 0; h, rest, _ = parseHeader12(rest) {
			s.server.receive(flight[:len(flight)-len(rest)])
			flight = rest
		}
		if s.server.Open() {
			t.Fatal("open without Finished")
		}
		var record []byte
		for _, i := range c.order {
			if record = append(record, messages[i]...); !c.record {
				s.server.receive(s.client.record(1, protocol.Handshake, messages[i]))
			}
		}
		if c.record {
			s.server.receive(s.client.record(1, protocol.Handshake, record))
		}
		if expectAlert(t, s.server.err, alert.UnexpectedMessage); !errors.Is(s.server.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, s.server.err, c.want)
		}
	}
}
