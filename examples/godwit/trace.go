package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A traceLine is an Event as -trace writes it. A field that an event's kind
// doesn't have is left out.
type traceLine struct {
	Time      string   `json:"time"`
	Role      string   `json:"role"`
	Event     string   `json:"event"`
	Direction string   `json:"direction,omitempty"`
	Size      *int     `json:"size,omitempty"`    // of a datagram, record or fragment, in bytes
	Number    string   `json:"number,omitempty"`  // epoch/sequence of a record
	Content   string   `json:"content,omitempty"` // of a record
	Message   string   `json:"message,omitempty"`
	Seq       *uint16  `json:"message_seq,omitempty"`
	Offset    *int     `json:"offset,omitempty"` // of a fragment
	Length    *int     `json:"length,omitempty"` // of the whole message
	Repeated  bool     `json:"repeated,omitempty"`
	Acked     []string `json:"acked,omitempty"`
	Alert     string   `json:"alert,omitempty"`
	Reason    string   `json:"reason,omitempty"` // of a drop
	Epoch     *uint64  `json:"epoch,omitempty"`  // of a key
}

func newTraceLine(e dtls.Event) traceLine {
	l := traceLine{
		Time:      e.Time.UTC().Format(time.RFC3339Nano),
		Role:      e.Role.String(),
		Event:     e.Kind.String(),
		Direction: e.Direction.String(),
	}
	switch e.Kind {
	case handshake.EventDatagram:
		l.Size = &e.Size
	case handshake.EventRecord:
		l.Size, l.Number, l.Content = &e.Size, e.Number.String(), e.Content.String()
	case handshake.EventMessage:
		l.Message, l.Seq, l.Offset, l.Size, l.Length, l.Repeated = e.Message.String(), &e.Seq, &e.Offset, &e.Size, &e.Length, e.Repeated
	case handshake.EventACK:
		for _, n := range e.Numbers {
			l.Acked = append(l.Acked, n.String())
		}
	case handshake.EventAlert:
		l.Alert = e.Alert.String()
	case handshake.EventDrop:
		l.Reason = e.Reason
	case handshake.EventTimeout:
		l.Direction = "" // it is nobody's datagram
	case handshake.EventKey:
		l.Epoch = &e.Number.Epoch
	}
	return l
}

// traceTo returns a Config.Trace that writes lines of JSON. What can't be
// written is lost, and the connection goes on.
func traceTo(w io.Writer) func(dtls.Event) {
	var mu sync.Mutex // a server's connections share it
	encoder := json.NewEncoder(w)
	return func(e dtls.Event) {
		mu.Lock()
		defer mu.Unlock()
		encoder.Encode(newTraceLine(e))
	}
}
