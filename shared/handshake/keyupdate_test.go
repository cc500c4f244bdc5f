package handshake

import (
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func eachTransport13(t *testing.T, test func(t *testing.T, p *pair)) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13)
		test(t, complete(t, transport, client, server))
	})
}

// update makes a side update its keys, and both write data then.
func (p *pair) update(side *peer, request message.KeyUpdateRequest) {
	side.fail(side.m.KeyUpdate(request))
	p.run()
	p.write()
}

// write lets both sides write what must come before data.
func (p *pair) write() {
	p.client.fail(p.client.m.BeforeData())
	p.server.fail(p.server.m.BeforeData())
	p.run()
}

// expectLevels checks what both sides write under.
func (p *pair) expectLevels(t *testing.T, client, server uint64) {
	t.Helper()
	if newest(p.client.writes) != client || newest(p.server.writes) != server {
		t.Errorf("client writes under level %d, server under %d, want %d and %d", newest(p.client.writes), newest(p.server.writes), client, server)
	}
	p.expectAgreement(t)
}

func TestKeyUpdate(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		p.expectLevels(t, 3, 3)
		p.update(p.client, message.NotRequested)
		p.expectLevels(t, 4, 3)
		p.update(p.client, message.Requested)
		p.expectLevels(t, 5, 4)
		p.update(p.server, message.Requested)
		p.expectLevels(t, 6, 5)
		p.update(p.server, message.NotRequested)
		p.expectLevels(t, 6, 6)
		for range 1000 {
			p.update(p.client, message.Requested)
			p.update(p.server, message.NotRequested)
		}
		p.expectLevels(t, 1006, 2006)
		if sent := len(p.client.sent); sent > 1010 {
			t.Errorf("the client wrote %d messages: an answer is answered", sent)
		}
	})
}

// TestKeyUpdateIsAnsweredOnce: on a stream, before the next data, however often
// it was asked for; a side without data to write is silent (RFC 9846 4.7.3).
func TestKeyUpdateIsAnsweredOnce(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	p := complete(t, protocol.Stream, client, server)
	p.server.fail(p.server.m.BeforeData())
	p.expectLevels(t, 3, 3)
	ask := Message{Content: protocol.Handshake, Type: protocol.KeyUpdate, Body: []byte{byte(message.Requested)}}
	for range 5 {
		p.server.take(ask)
	}
	if newest(p.server.writes) != 3 {
		t.Error("the server answers with nothing to write")
	}
	for range 2 {
		p.server.fail(p.server.m.BeforeData())
		if got := newest(p.server.writes); got != 4 || p.server.err != nil {
			t.Errorf("the server writes under level %d, want 4: %v", got, p.server.err)
		}
	}
}

// TestKeyUpdateCrossing: both ask at once, and both are answered (RFC 9846 4.7.3).
func TestKeyUpdateCrossing(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		p.client.fail(p.client.m.KeyUpdate(message.Requested))
		p.server.fail(p.server.m.KeyUpdate(message.Requested))
		p.run()
		p.write()
		p.expectLevels(t, 5, 5)
	})
}

// TestKeyUpdateRequestedOnce: until the peer has answered, it isn't asked again;
// over datagrams updates moreover wait for each other (RFC 9147 8).
func TestKeyUpdateRequestedOnce(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		before := len(p.client.sent)
		for range 5 {
			p.client.fail(p.client.m.KeyUpdate(message.Requested))
		}
		written := p.client.sent[before:]
		if want := map[protocol.Transport]int{protocol.Stream: 5, protocol.Datagram: 1}[p.client.m.transport]; len(written) != want {
			t.Errorf("%d KeyUpdates, want %d", len(written), want)
		}
		for i, m := range written {
			if asks := m.Body[0] == byte(message.Requested); asks != (i == 0) {
				t.Errorf("KeyUpdate %d: %x", i, m.Body)
			}
		}
		p.run()
		p.write()
		p.expectAgreement(t)
		// Answered, it may ask again.
		p.update(p.client, message.Requested)
		if last := p.client.sent[len(p.client.sent)-1]; last.Body[0] != byte(message.Requested) {
			t.Error("it does not ask any more")
		}
	})
}

// TestKeyUpdateWaits: over datagrams new keys are used only after the ACK.
func TestKeyUpdateWaits(t *testing.T) {
	client, server := configs(protocol.VersionDTLS13)
	p := complete(t, protocol.Datagram, client, server)
	p.client.fail(p.client.m.KeyUpdate(message.NotRequested))
	p.next(p.server)
	if newest(p.client.writes) != 3 || newest(p.server.reads) != 4 {
		t.Errorf("before the ACK the client writes under %d and the server reads %d", newest(p.client.writes), newest(p.server.reads))
	}
	p.client.fail(p.client.m.Acked())
	p.expectLevels(t, 4, 3)
}

// TestKeyUpdateLimits: the last level and the last message_seq are the end of
// updates, not of the connection, and a request is then ignored (RFC 9846 4.7.3).
func TestKeyUpdateLimits(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		limits := map[string]func(*Machine){"level": func(m *Machine) { m.writeLevel = maxLevel }}
		if p.client.m.transport == protocol.Datagram {
			limits["message_seq"] = func(m *Machine) { m.writeSeq = maxSeq }
		}
		for name, reach := range limits {
			f := p.fork()
			reach(f.client.m)
			expectAlert(t, f.client.m.KeyUpdate(message.NotRequested), alert.InternalError)
			if !f.client.m.Open() {
				t.Errorf("%s: the connection is closed", name)
			}
			sent := len(f.client.sent)
			f.update(f.server, message.Requested)
			if f.client.err != nil || len(f.client.sent) != sent || newest(f.client.reads) != 4 {
				t.Errorf("%s: a request at the limit: %v, %d messages", name, f.client.err, len(f.client.sent)-sent)
			}
		}
		// The peer's updates are not counted.
		f := p.fork()
		f.client.m.readLevel = maxLevel
		f.update(f.server, message.NotRequested)
		if f.client.err != nil {
			t.Errorf("an update by the peer beyond our limit: %v", f.client.err)
		}
	})
}

// TestKeyUpdateMisdeeds: too early, too odd, or in 1.2.
func TestKeyUpdateMisdeeds(t *testing.T) {
	update := Message{Content: protocol.Handshake, Type: protocol.KeyUpdate, Body: []byte{0}}
	eachTransport13(t, func(t *testing.T, p *pair) {
		for name, c := range map[string]struct {
			body []byte
			want alert.Alert
		}{
			"empty": {nil, alert.DecodeError}, "long": {[]byte{0, 0}, alert.DecodeError}, "odd": {[]byte{2}, alert.IllegalParameter},
		} {
			f := p.fork()
			bad := update
			bad.Body = c.body
			f.server.take(bad)
			if expectAlert(t, f.server.err, c.want); newest(f.server.reads) != 3 {
				t.Errorf("%s: the keys changed", name)
			}
		}
	})
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		p := begin(t, transport, client, server)
		p.client.take(update)
		p.client.expectRefused(t, alert.UnexpectedMessage)
		p = begin(t, transport, client, server)
		p.next(p.server)
		p.server.take(update)
		p.server.expectRefused(t, alert.UnexpectedMessage)
		if err := p.server.m.KeyUpdate(message.NotRequested); err == nil {
			t.Error("KeyUpdate during the handshake")
		}
		if !v.Is13() {
			p = complete(t, transport, client, server)
			p.server.take(update)
			expectAlert(t, p.server.err, alert.UnexpectedMessage)
			if err := p.client.m.KeyUpdate(message.NotRequested); err == nil {
				t.Error("KeyUpdate in 1.2")
			}
		}
	})
}

// TestTickets: they are read, only from a server, and let go.
func TestTickets(t *testing.T) {
	ticket := message.NewSessionTicket13{Lifetime: 1, Nonce: []byte{1}, Ticket: []byte{1}, Extensions: message.Extensions{0x2a, 0x2a, 0, 0}}
	m := Message{Content: protocol.Handshake, Type: protocol.NewSessionTicket, Body: appended(ticket.Append)}
	eachTransport13(t, func(t *testing.T, p *pair) {
		p.client.take(m)
		if p.client.err != nil || !p.client.m.Open() {
			t.Error(p.client.err)
		}
		p.server.take(m)
		expectAlert(t, p.server.err, alert.UnexpectedMessage)
	})
}
