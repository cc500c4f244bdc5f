package main

import (
	"errors"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// Handshakes by a key alone, without records: what they cost beside what is timed is
// little, and the same for both classes.

// key is a credential of both peers, or of one.
func key(identity string, n int) handshake.Credential {
	secret := make([]byte, n)
	copy(secret, identity)
	return handshake.Credential{PSK: &handshake.ExternalPSK{Identity: []byte(identity), Key: secret, Use: handshake.PSKDirect}}
}

func config(v protocol.Version, k handshake.Credential) *handshake.Config {
	return &handshake.Config{
		MinVersion: uint16(v), MaxVersion: uint16(v),
		CipherSuites: []uint16{suite.TLS_AES_128_GCM_SHA256, suite.TLS_PSK_WITH_AES_128_GCM_SHA256},
		Credentials:  []handshake.Credential{k}, InsecureAllowPSKOnly: v.Is13(), SessionTicketsDisabled: true,
	}
}

// A side is a Machine, and a Layer that keeps what it sends.
type side struct {
	*handshake.Machine
	sent []handshake.Message
}

func (s *side) Send(m handshake.Message) {
	m.Body = slices.Clone(m.Body)
	s.sent = append(s.sent, m)
}
func (*side) Flush(handshake.Reply)                       {}
func (*side) WriteKey(handshake.TrafficKey) error         { return nil }
func (*side) ReadKey(handshake.TrafficKey) error          { return nil }
func (*side) Version(protocol.Version)                    {}
func (*side) ConnectionIDs(handshake.ConnectionIDs) error { return nil }
func (*side) SkipEarly(int)                               {}
func (*side) Trace(handshake.Event)                       {}
func (*side) Finish()                                     {}

// take hands a message to the Machine, and does the work that this needs.
func (s *side) take(m handshake.Message, now time.Time) error {
	err := s.Receive(m, now)
	for errors.Is(err, handshake.ErrNotYet) {
		s.Work()()
		s.Resume(now)
		err = s.Receive(m, now)
	}
	return err
}

// until lets two sides talk up to a message of the client's, and returns the server and
// that message, which it has not got, with those behind it.
func until(t protocol.HandshakeType, client, server *handshake.Config) (*side, []handshake.Message, error) {
	now := time.Now()
	c, s := new(side), new(side)
	c.Machine, s.Machine = handshake.NewClient(client, protocol.Stream, c), handshake.NewServer(server, protocol.Stream, s)
	if err := c.Start(now); err != nil {
		return nil, nil, err
	}
	for {
		for len(c.sent) > 0 {
			if m := c.sent[0]; m.Content == protocol.Handshake && m.Type == t {
				return s, c.sent, nil
			}
			if err := s.take(c.sent[0], now); err != nil {
				return nil, nil, err
			}
			c.sent = c.sent[1:]
		}
		if len(s.sent) == 0 {
			return nil, nil, errors.New("the client says no more")
		}
		for ; len(s.sent) > 0; s.sent = s.sent[1:] {
			if err := c.take(s.sent[0], now); err != nil {
				return nil, nil, err
			}
		}
	}
}

// refused is a trial of messages of which the server refuses the last.
func refused(s *side, messages []handshake.Message) trial {
	now := time.Now()
	return timed(func() {
		for _, m := range messages {
			s.take(m, now)
		}
	})
}

// binderSubject times a ClientHello whose binder, its last bytes, is wrong.
func binderSubject() subject {
	return wrongEnd("PSK binder", protocol.VersionTLS13, protocol.ClientHello, 32)
}

func finishedSubject(name string, v protocol.Version) subject {
	n := 12 // verify_data
	if v.Is13() {
		n = 32
	}
	return wrongEnd(name, v, protocol.Finished, n)
}

// wrongEnd times a message of the client's of whose last n bytes one is wrong.
func wrongEnd(name string, v protocol.Version, t protocol.HandshakeType, n int) subject {
	return subject{name: name, classes: ends, effort: 10, open: func() (prepare, error) {
		both := config(v, key("device", 16))
		return func(class int) (trial, error) {
			server, messages, err := until(t, both, both)
			if err != nil {
				return nil, err
			}
			body := messages[0].Body
			body[len(body)-n:][place(class, n)] ^= 1
			return refused(server, messages[:1]), nil
		}, nil
	}}
}

// identitySubject times what is left of a handshake of 1.2 when the client names its
// key: whether the server has one of that name goes over the wire in the clear, by
// others, but shouldn't be told to whoever asks.
func identitySubject() subject {
	return subject{name: "PSK identity of 1.2", classes: [2]string{"known, key wrong", "unknown"}, effort: 10, open: func() (prepare, error) {
		server := config(protocol.VersionTLS12, key("device", 16))
		known, unknown := key("device", 16), key("robber", 16)
		known.PSK.Key[0] ^= 1
		clients := [2]*handshake.Config{config(protocol.VersionTLS12, known), config(protocol.VersionTLS12, unknown)}
		return func(class int) (trial, error) {
			s, messages, err := until(protocol.ClientKeyExchange, clients[class], server)
			return refused(s, messages), err
		}, nil
	}}
}
