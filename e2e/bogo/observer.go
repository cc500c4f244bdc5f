package main

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// An observer keeps what the library's callbacks say about a connection.
type observer struct {
	settings           *settings
	connection         *connection
	verified           bool // the peer
	offeredProtocols   []string
	offeredSchemes     []tls.SignatureScheme
	offeredTypes       []byte // of certificates
	offeredAuthorities [][]byte
	messages           strings.Builder
	lastMessage        int // of the peer: its type
	keyLog             bytes.Buffer
}

// traced writes messages, ChangeCipherSpecs, ACKs and alerts down as the runner
// does: "read hs 2", "write ccs", "write ack", "read alert 1 0".
func (o *observer) traced(e dtls.Event) {
	if e.Kind == handshake.EventMessage && e.Direction == handshake.Received {
		o.lastMessage = int(e.Message)
	}
	if o.settings.expect.messages == nil {
		return
	}
	verb := "write"
	if e.Direction == handshake.Received {
		verb = "read"
	}
	switch {
	case e.Kind == handshake.EventMessage && !e.Repeated && e.Offset+e.Size >= e.Length:
		fmt.Fprintf(&o.messages, "%s hs %d\n", verb, e.Message)
	case e.Kind == handshake.EventInnerHello:
		fmt.Fprintf(&o.messages, "%s clienthelloinner\n", verb)
	case e.Kind == handshake.EventACK:
		fmt.Fprintf(&o.messages, "%s ack\n", verb)
	case e.Kind == handshake.EventRecord && e.Content == protocol.ChangeCipherSpec && !o.ignores(e):
		fmt.Fprintf(&o.messages, "%s ccs\n", verb)
	case e.Kind == handshake.EventAlert && e.Direction == handshake.Received:
		level := 2
		if e.Alert == alert.CloseNotify {
			level = 1
		}
		fmt.Fprintf(&o.messages, "%s alert %d %d\n", verb, level, e.Alert)
	}
}

// ignores reports whether an Event is of a ChangeCipherSpec that 1.3 passes over.
// The runner does not count those.
func (o *observer) ignores(e dtls.Event) bool {
	return e.Direction == handshake.Received && o.connection.State().Version == tls.VersionTLS13
}

// Write takes a line of the key log.
func (o *observer) Write(line []byte) (int, error) { return o.keyLog.Write(line) }

// secret finds a secret in the key log by its label.
func (o *observer) secret(label string) ([]byte, error) {
	for line := range strings.Lines(o.keyLog.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == label {
			return hex.DecodeString(fields[2])
		}
	}
	return nil, fmt.Errorf("the key log has no %s", label)
}
