package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// The ladder as text:
//
//	 ms  client                                                  server
//	0.4  ├── 0/0  ClientHello ──────────────────────────── 177 bytes ──►│
//	0.9  │◄── 98 bytes ──────────────── 0/0  HelloRetryRequest ──────────┤
//
// What the client sends starts at the left rail, what the server sends in the
// right half.
const (
	ladderWidth = 100
	timeWidth   = 9
	innerWidth  = ladderWidth - timeWidth - 2 // between the rails
	clientText  = 3                           // column of the client's text, from the rail
	serverText  = 44
	textWidth   = 42
	lostWidth   = 71 // how far a lost datagram gets
)

const legend = "\n  epoch/number, message, bytes of it   ↻ sent again   ✗ lost or dropped\n"

// String draws the ladder.
func (l *ladder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%7s  client%*s\n", "ms", innerWidth-4, "server")
	last := l.lastServerHello()
	for _, r := range l.rungs {
		r.draw(&b, last)
	}
	b.WriteString(legend)
	return b.String()
}

func (r *rung) draw(b *strings.Builder, lastServerHello uint16) {
	lines := r.lines(lastServerHello)
	at := fmt.Sprintf("%7.1f  ", milliseconds(r.at))
	if r.note != "" {
		b.WriteString(at + r.beside(r.from, r.note))
		return
	}
	for i, l := range lines {
		from := r.from
		if l.dropped {
			from = from.Peer()
		}
		for j, text := range wrap(l.String()) {
			if i+j == 0 {
				b.WriteString(at + r.arrow(text))
			} else {
				b.WriteString(blank + r.beside(from, text))
			}
		}
	}
}

var blank = strings.Repeat(" ", timeWidth)

func (l line) String() string {
	if l.again {
		return l.text + " ↻"
	}
	return l.text
}

// arrow draws the datagram itself, with the first line of its text.
func (r *rung) arrow(text string) string {
	size := fmt.Sprintf(" %d bytes ", r.size)
	text = " " + text + " "
	if r.from == handshake.Client {
		shaft, head, rail := dashes(clientText-1)+text, size+"──►", "│"
		if r.lost {
			lost := size + "── ✗ lost"
			return "├" + pad(pad(shaft, lostWidth-width(lost), "─")+lost, innerWidth, " ") + rail + "\n"
		}
		return "├" + pad(shaft, innerWidth-width(head), "─") + head + rail + "\n"
	}
	shaft := text + dashes(innerWidth-serverText+1-width(text))
	if r.lost {
		lost := strings.Repeat(" ", innerWidth-lostWidth) + "lost ✗ ──" + size
		return "│" + pad(lost, serverText-1, "─") + shaft + "┤\n"
	}
	return "│" + pad("◄──"+size, serverText-1, "─") + shaft + "┤\n"
}

// beside writes text next to a side's rail.
func (r *rung) beside(from handshake.Role, text string) string {
	column := clientText
	if from == handshake.Server {
		column = serverText
	}
	return "│" + pad(strings.Repeat(" ", column)+text, innerWidth, " ") + "│\n"
}

// wrap breaks text where it gets too wide; it returns one line at least.
func wrap(text string) []string {
	indent := "     "
	var lines []string
	for width(text) > textWidth {
		cut := strings.LastIndexByte(text[:textWidth], ' ')
		if cut <= len(indent) {
			break
		}
		lines = append(lines, text[:cut])
		text = indent + text[cut+1:]
	}
	return append(lines, text)
}

func width(s string) int  { return utf8.RuneCountInString(s) }
func dashes(n int) string { return strings.Repeat("─", max(n, 0)) }

func pad(s string, n int, with string) string {
	return s + strings.Repeat(with, max(n-width(s), 0))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
