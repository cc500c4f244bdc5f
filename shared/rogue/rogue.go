// Package rogue makes a lawful peer break the rules once, for the tests of those who
// have to do with it: a Layer between a Machine and an Engine that sends something else
// than one of the Machine's messages.
//
// Packages below shared carry no compatibility promise of their own.
package rogue

import (
	"fmt"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A Layer hands on what its Machine sends, but for one message.
type Layer struct {
	handshake.Layer
	Fault Fault
	At    int    // which message it is committed at, counted from 0
	Other *Layer // of the other side, whose messages it knows

	Committed bool
	Sent      []handshake.Message // by the Machine

	flights []flight // that are whole
	keys    []uint64
	held    *handshake.Message // until the next has gone out
	next    uint16             // message_seq
}

// Send hands a message on, or commits the Fault.
func (l *Layer) Send(m handshake.Message) {
	n := len(l.Sent)
	m.Body = slices.Clone(m.Body)
	if n == 0 {
		l.next = m.Seq
	}
	l.Sent = append(l.Sent, m)
	if n == l.At && l.Fault.commit != nil {
		l.Committed = l.Fault.commit(l, m)
		return
	}
	l.write(m)
	if m := l.held; m != nil {
		l.held = nil
		l.write(*m)
	}
}

// Flush ends a flight.
func (l *Layer) Flush(r handshake.Reply) {
	l.flights = append(l.flights, flight{len(l.Sent), slices.Clone(l.keys)})
	l.Layer.Flush(r)
}

// WriteKey hands a key on.
func (l *Layer) WriteKey(k handshake.TrafficKey) error {
	l.keys = append(l.keys, k.Level)
	return l.Layer.WriteKey(k)
}

// write numbers a message as if it were lawful.
func (l *Layer) write(m handshake.Message) {
	if m.Content == protocol.Handshake {
		m.Seq = l.next
		l.next++
	}
	l.Layer.Send(m)
}

// A flight ends before a message, and had keys by then.
type flight struct {
	end  int
	keys []uint64
}

// Faults are those that can be committed at each message that a lawful side has sent.
// Over datagrams ChangeCipherSpec is no message.
func (l *Layer) Faults(t protocol.Transport) (all [][]Fault) {
	for _, flight := range l.flights {
		for at := len(all); at < flight.end; at++ {
			var some []Fault
			if l.carries(t, at) {
				some = slices.Clone(faults)
				if at+1 < flight.end && l.carries(t, at+1) {
					some = append(some, swapped)
				}
				for _, level := range append(flight.keys, handshake.LevelPlain) {
					if level != l.Sent[at].Level {
						some = append(some, inLevel(level))
					}
				}
			}
			all = append(all, some)
		}
	}
	return all
}

func (l *Layer) carries(t protocol.Transport, at int) bool {
	return t == protocol.Stream || l.Sent[at].Content == protocol.Handshake
}

// EndsFlight reports whether a message that a lawful side has sent is the last of its
// flight.
func (l *Layer) EndsFlight(at int) bool {
	return slices.ContainsFunc(l.flights, func(f flight) bool { return f.end == at+1 })
}

// A Fault is what may become of a message.
type Fault struct {
	Name   string
	Alert  alert.Alert // that usually answers it
	commit func(l *Layer, m handshake.Message) bool

	Moves bool // the message goes in another epoch,
	Epoch uint64
}

// Lawful is no fault.
var Lawful Fault

// The names of faults whose answer depends on what follows.
const (
	Omitted = "omitted"
	Swapped = "swapped with the next"
)

var faults = []Fault{
	{Name: Omitted, Alert: alert.UnexpectedMessage, commit: func(*Layer, handshake.Message) bool { return true }},
	{Name: "doubled", Alert: alert.UnexpectedMessage, commit: func(l *Layer, m handshake.Message) bool {
		l.write(m)
		l.write(m)
		return true
	}},
	{Name: "cut", Alert: alert.DecodeError, commit: func(l *Layer, m handshake.Message) bool {
		if len(m.Body) == 0 {
			return l.lawful(m)
		}
		m.Body = m.Body[:len(m.Body)-1]
		l.write(m)
		return true
	}},
	{Name: "extended", Alert: alert.DecodeError, commit: func(l *Layer, m handshake.Message) bool {
		m.Body = append(m.Body, 0)
		l.write(m)
		return true
	}},
	{Name: "behind the last of the other side", Alert: alert.UnexpectedMessage, commit: func(l *Layer, m handshake.Message) bool {
		theirs := l.Other.Sent
		if len(theirs) == 0 || theirs[len(theirs)-1].Content != protocol.Handshake {
			return l.lawful(m)
		}
		own := theirs[len(theirs)-1]
		own.Level = m.Level
		l.write(own)
		l.write(m)
		return true
	}},
	as(protocol.ClientHello), as(protocol.ServerHello), as(protocol.Certificate), as(protocol.Finished), as(99),
}

var swapped = Fault{Name: Swapped, Alert: alert.UnexpectedMessage, commit: func(l *Layer, m handshake.Message) bool {
	l.held = &m
	return true
}}

func as(t protocol.HandshakeType) Fault {
	return Fault{Name: fmt.Sprint("as ", t), Alert: alert.UnexpectedMessage, commit: func(l *Layer, m handshake.Message) bool {
		if m.Content != protocol.Handshake || m.Type == t {
			return l.lawful(m)
		}
		m.Type = t
		l.write(m)
		return true
	}}
}

// inLevel sends a message under other keys.
func inLevel(level uint64) Fault {
	return Fault{Name: fmt.Sprint("in epoch ", level), Alert: alert.UnexpectedMessage, Moves: true, Epoch: level, commit: func(l *Layer, m handshake.Message) bool {
		m.Level = level
		l.write(m)
		return true
	}}
}

// lawful sends a message that there is nothing to do to.
func (l *Layer) lawful(m handshake.Message) bool {
	l.write(m)
	return false
}
