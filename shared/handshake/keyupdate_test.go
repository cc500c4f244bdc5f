package handshake

import (
	"errors"
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

// update makes a side update its keys, and both then write data.
func (p *pair) update(side *peer, request message.KeyUpdateRequest) {
	side.fail(side.m.KeyUpdate(request))
	p.run()
	p.data()
}

// data is what precedes data that both sides write.
func (p *pair) data() {
	for _, side := range []*peer{p.client, p.server} {
		side.fail(side.m.AnswerUpdate())
	}
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

// TestKeyUpdateCrossing: both ask at once, and both are answered (RFC 9846 4.7.3).
func TestKeyUpdateCrossing(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		p.client.fail(p.client.m.KeyUpdate(message.Requested))
		p.server.fail(p.server.m.KeyUpdate(message.Requested))
		p.run()
		p.data()
		p.expectLevels(t, 5, 5)
	})
}

// TestKeyUpdateAnsweredOnce: however often a silent side is asked, it answers
// with one KeyUpdate, before its next data (RFC 9846 4.7.3).
//
// RFC 9846 4.7.3 [5]
func TestKeyUpdateAnsweredOnce(t *testing.T) {
	ask := Message{Content: protocol.Handshake, Type: protocol.KeyUpdate, Body: []byte{byte(message.Requested)}}
	eachTransport13(t, func(t *testing.T, p *pair) {
		for range 3 {
			sent := len(p.client.sent)
			for range 5 {
				p.client.take(ask)
			}
			if len(p.client.sent) != sent {
				t.Fatal("a silent side answers")
			}
			p.data()
			p.data()
			if answers := p.client.sent[sent:]; len(answers) != 1 || answers[0].Body[0] != byte(message.NotRequested) {
				t.Fatalf("%d answers", len(answers))
			}
		}
		// One that we write for ourselves will do.
		sent := len(p.client.sent)
		p.client.take(ask)
		p.update(p.client, message.NotRequested)
		if len(p.client.sent) != sent+1 || p.client.err != nil {
			t.Errorf("%d KeyUpdates, %v", len(p.client.sent)-sent, p.client.err)
		}
	})
}

// TestKeyUpdateMerges: over datagrams a KeyUpdate that waits for its ACK does
// for all that ask meanwhile, unless one asks the peer for its keys too.
func TestKeyUpdateMerges(t *testing.T) {
	client, server := configs(protocol.VersionDTLS13)
	p := complete(t, protocol.Datagram, client, server)
	for range 10 {
		p.client.fail(p.client.m.KeyUpdate(message.NotRequested))
	}
	p.run()
	p.expectLevels(t, 4, 3)
	for range 10 {
		p.client.fail(p.client.m.KeyUpdate(message.NotRequested))
		p.client.fail(p.client.m.KeyUpdate(message.Requested))
	}
	p.run()
	p.data()
	p.expectLevels(t, 6, 4)
}

// TestKeyUpdateRequestedOnce: until the peer has answered, it isn't asked again;
// over datagrams updates moreover wait for each other (RFC 9147 8).
//
// RFC 9846 4.7.3 [6]
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
		p.data()
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

// TestKeyUpdateLimits: the last level and the last message_seq can be used. They
// are the end of updates, not of the connection, and a request is then ignored
// (RFC 9846 4.7.3).
//
// RFC 9147 8 [5, 6, 7]; RFC 9846 4.7.3 [9, 10, 11]
func TestKeyUpdateLimits(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		last := map[protocol.Transport]uint64{protocol.Stream: 1<<48 - 1, protocol.Datagram: 1<<16 - 1}[p.client.m.transport]
		type limit struct {
			reason    alert.Reason
			oneBefore func(*peer)
		}
		limits := map[string]limit{"level": {alert.TooManyKeyUpdates, func(p *peer) {
			p.m.writeLevel, p.writes[len(p.writes)-1].Level = last-1, last-1
		}}}
		if p.client.m.transport == protocol.Datagram {
			limits["message_seq"] = limit{alert.MessagesUsedUp, func(p *peer) { p.m.writeSeq = 1<<16 - 1 }}
		}
		for name, limit := range limits {
			f := p.fork()
			limit.oneBefore(f.client)
			sent := len(f.client.sent)
			f.client.fail(f.client.m.KeyUpdate(message.NotRequested))
			if len(f.client.sent) != sent+1 || f.client.err != nil {
				t.Errorf("%s: the last one: %v", name, f.client.err)
			}
			if f.client.m.transport == protocol.Datagram {
				f.client.fail(f.client.m.Acked())
			}
			err := f.client.m.KeyUpdate(message.NotRequested)
			if expectAlert(t, err, alert.InternalError); !errors.Is(err, limit.reason) {
				t.Errorf("%s: %v, expected %v", name, err, limit.reason)
			}
			f.server.inbox = nil
			if !f.client.m.Open() {
				t.Errorf("%s: the connection is closed", name)
			}
			sent = len(f.client.sent)
			f.update(f.server, message.Requested)
			if f.client.err != nil || len(f.client.sent) != sent || newest(f.client.reads) != 4 {
				t.Errorf("%s: a request at the limit: %v, %d messages", name, f.client.err, len(f.client.sent)-sent)
			}
		}
		// Over a stream the peer may go further.
		f := p.fork()
		f.client.m.readLevel = last - 1
		f.onWay = func(_ *peer, m Message) []Message { return []Message{m} } // whatever its level
		f.update(f.server, message.NotRequested)
		if f.client.err != nil {
			t.Errorf("the last update by the peer: %v", f.client.err)
		}
		f.update(f.server, message.NotRequested)
		if f.client.m.transport == protocol.Stream && f.client.err != nil {
			t.Errorf("an update by the peer beyond our limit: %v", f.client.err)
		}
		if f.client.m.transport == protocol.Datagram {
			if expectAlert(t, f.client.err, alert.UnexpectedMessage); !errors.Is(f.client.err, alert.TooManyKeyUpdates) {
				t.Errorf("an update by the peer beyond the last epoch: %v", f.client.err)
			}
		}
	})
}

// TestKeyUpdateMisdeeds: too early, too odd, or in 1.2.
//
// RFC 9846 4.7.3 [1, 4]
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
//
// RFC 9846 4.7.1 [1]
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
