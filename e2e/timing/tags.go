package main

import (
	"crypto/rand"
	"time"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// tagSubject times a record whose tag is wrong: who can tell how much of it is right
// guesses it byte by byte.
func tagSubject(s *suite.Suite) subject {
	return subject{name: "record, " + s.Name, classes: ends, effort: 1, open: func() (prepare, error) {
		k := randomKey(s)
		sealer, err := record.NewSealer(s, k)
		if err != nil {
			return nil, err
		}
		open, err := openRecord(s, k)
		return func(class int) (trial, error) {
			content, additional := make([]byte, 256), header(256)
			rand.Read(content)
			body := sealer.Seal(nil, content, additional, 0)
			tag := body[len(body)-s.AEAD.TagLen:]
			tag[place(class, len(tag))] ^= 1
			return timed(func() { open(body, additional) }), nil
		}, err
	}}
}

// ticketSubject does the same with a ticket.
func ticketSubject() subject {
	return subject{name: "ticket", classes: ends, effort: 1, open: func() (prepare, error) {
		now := time.Now()
		ticketKeys := session.NewTicketKeys(nil)
		state := &session.State{
			Version: protocol.VersionDTLS13, Suite: suite.TLS_AES_128_GCM_SHA256, Secret: make([]byte, 32),
			Created: now, Lifetime: session.MaxLifetime,
		}
		return func(class int) (trial, error) {
			ticket, err := ticketKeys.Seal(state, now)
			if err != nil {
				return nil, err
			}
			tag := ticket[len(ticket)-16:]
			tag[place(class, len(tag))] ^= 1
			return timed(func() { ticketKeys.Open(ticket, now) }), nil
		}, nil
	}}
}

func openRecord(s *suite.Suite, k keys.RecordKey) (func(body, additional []byte), error) {
	o, err := record.NewOpener(s, k)
	return func(body, additional []byte) { o.Open(body, additional, 0) }, err
}
