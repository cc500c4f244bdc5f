package main

import (
	"encoding/xml"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func TestDemo(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags string
		shows []string
	}{
		{"1.3", "", []string{"HelloRetryRequest", "KeyUpdate", "3/0  ACK", "4/0", "DTLS 1.3", "X25519MLKEM768", "TLS_AES_128_GCM_SHA256", "none lost"}},
		{"1.2", "-max 1.2", []string{"HelloVerifyRequest", "ChangeCipherSpec", "DTLS 1.2", "x25519", "none by the client"}},
		{"both", "-min 1.2 -max 1.3", []string{"DTLS 1.3"}},
		{"1.3 with loss", "-loss 30 -seed 1", []string{"DTLS 1.3", "✗ lost", "↻", "timeout", "loses 30 %"}},
		{"1.2 with loss", "-max 1.2 -loss 30 -seed 4 -mtu 300", []string{"DTLS 1.2", "lost ✗", "↻", "0..204 of"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			picture, trace := filepath.Join(t.TempDir(), "ladder.svg"), filepath.Join(t.TempDir(), "trace")
			r := godwit(t, nil, append([]string{"demo", "-svg", picture, "-trace", trace + ".sqlog"}, strings.Fields(test.flags)...)...).expect(t, 0)
			for _, text := range append(test.shows, "ClientHello", "CertificateVerify", "Finished", "application data", "Alert close_notify") {
				if !strings.Contains(r.stdout, text) {
					t.Errorf("the ladder lacks %q", text)
				}
			}
			for line := range strings.Lines(r.stdout) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > ladderWidth {
					t.Errorf("a line has %d columns: %s", n, line)
				}
			}
			if t.Failed() {
				t.Log("\n" + r.stdout)
			}
			checkSVG(t, picture, test.shows[0])
			for role, name := range map[string]string{"client": "dtls:message_sent", "server": "dtls:message_received"} {
				if !message(readTrace(t, trace+"-"+role+".sqlog"), name, "ClientHello") {
					t.Errorf("the qlog of the %s lacks ClientHello", role)
				}
			}
		})
	}
}

// checkSVG reads a picture as XML, and looks for a text in it.
func checkSVG(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all strings.Builder
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(xml.CharData); ok {
			all.Write(s)
		}
	}
	if !strings.Contains(all.String(), text) {
		t.Errorf("the picture lacks %q", text)
	}
}

// TestLadder draws a story with everything that can happen in it.
func TestLadder(t *testing.T) {
	l := newLadder()
	tell := func(role handshake.Role, direction handshake.Direction, events ...dtls.Event) {
		for _, e := range events {
			e.Role, e.Direction = role, direction
			l.trace(e)
		}
	}
	number := func(epoch, sequence uint64) protocol.RecordNumber {
		return protocol.RecordNumber{Epoch: epoch, Sequence: sequence}
	}
	datagram := func(size int) dtls.Event { return dtls.Event{Kind: handshake.EventDatagram, Size: size} }
	message := func(m protocol.HandshakeType, seq uint16, offset, size, length int, again bool) dtls.Event {
		return dtls.Event{Kind: handshake.EventMessage, Message: m, Seq: seq, Offset: offset, Size: size, Length: length, Repeated: again}
	}
	record := func(c protocol.ContentType, epoch, sequence uint64, size int) dtls.Event {
		return dtls.Event{Kind: handshake.EventRecord, Content: c, Number: number(epoch, sequence), Size: size}
	}
	const client, server, sent, received = handshake.Client, handshake.Server, handshake.Sent, handshake.Received

	tell(client, sent, message(protocol.ClientHello, 0, 0, 60, 100, false), record(protocol.Handshake, 0, 0, 85), datagram(85))
	l.carried(client, 85, true)
	tell(client, sent, dtls.Event{Kind: handshake.EventTimeout})
	tell(client, sent, message(protocol.ClientHello, 0, 0, 100, 100, true), record(protocol.Handshake, 0, 1, 125), datagram(125))
	l.carried(client, 125, false)
	l.carried(server, 90, true)
	l.carried(server, 90, false)
	tell(client, received, datagram(90), record(protocol.Handshake, 0, 1, 90), message(protocol.ServerHello, 0, 0, 65, 65, false))
	tell(server, sent, message(protocol.ServerHello, 1, 0, 50, 50, false), record(protocol.Handshake, 0, 2, 75),
		message(protocol.EncryptedExtensions, 2, 0, 2, 2, false), message(protocol.Finished, 3, 0, 32, 32, false), record(protocol.Handshake, 2, 0, 70), datagram(145))
	l.carried(server, 145, false)
	tell(client, received, datagram(145), record(protocol.Handshake, 0, 2, 75), message(protocol.ServerHello, 1, 0, 50, 50, false),
		dtls.Event{Kind: handshake.EventDrop, Reason: "an epoch without keys, for this test's own reasons"})
	tell(client, sent, dtls.Event{Kind: handshake.EventACK, Numbers: []protocol.RecordNumber{number(2, 0), number(2, 1), number(2, 2), number(3, 0), number(3, 5), number(3, 7), number(3, 9), number(3, 11), number(3, 13), number(3, 15)}},
		record(protocol.ACK, 2, 0, 60), datagram(60), record(protocol.ApplicationData, 3, 0, 30))
	l.carried(client, 60, false)
	l.carried(client, 30, false)
	tell(server, sent, dtls.Event{Kind: handshake.EventAlert, Alert: alert.HandshakeFailure}, record(protocol.Alert, 0, 3, 15), datagram(15))
	l.carried(server, 15, false)
	for _, r := range l.rungs {
		r.at = 12300 * time.Microsecond
	}
	const want = `     ms  client                                                                               server
   12.3  ├── 0/0  ClientHello 0..60 of 100 ─────────────────── 85 bytes ── ✗ lost                  │
   12.3  │   timeout                                                                               │
   12.3  ├── 0/1  ClientHello ↻ ───────────────────────────────────────────────────── 125 bytes ──►│
   12.3  │                  lost ✗ ── 90 bytes ────── the listener's answer ───────────────────────┤
   12.3  │◄── 90 bytes ────────────────────────────── 0/1  HelloRetryRequest ──────────────────────┤
   12.3  │◄── 145 bytes ───────────────────────────── 0/2  ServerHello ────────────────────────────┤
         │                                            2/0  EncryptedExtensions                     │
         │                                                 Finished                                │
         │   ✗ dropped: an epoch without keys, for                                                 │
         │        this test's own reasons                                                          │
   12.3  ├── 2/0  ACK 2/0-2 3/0 3/5 3/7 3/9 3/11 3/13 ──────────────────────────────── 60 bytes ──►│
         │        3/15                                                                             │
   12.3  ├── 3/0  application data ─────────────────────────────────────────────────── 30 bytes ──►│
   12.3  │◄── 15 bytes ────────────────────────────── 0/3  Alert handshake_failure ────────────────┤
` + legend
	if got := l.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The same seed loses the same datagrams of each direction.
func TestWireLosses(t *testing.T) {
	loses := func(seed uint64) string {
		var pattern strings.Builder
		drain, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer drain.Close()
		passed := make(chan struct{}, 1)
		w, err := newWire(drain.LocalAddr(), 50, seed, func(_ handshake.Role, _ int, lost bool) {
			pattern.WriteString(map[bool]string{true: "x", false: "."}[lost])
			passed <- struct{}{}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		c, err := net.Dial("udp", w.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 40 {
			c.Write([]byte{1})
			<-passed
		}
		return pattern.String()
	}
	first, again, other := loses(1), loses(1), loses(2)
	if first != again || first == other || !strings.Contains(first, "x") || !strings.Contains(first, ".") {
		t.Errorf("losses of seed 1: %s and %s, of seed 2: %s", first, again, other)
	}
}
