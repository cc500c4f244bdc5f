package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// The picture's measures, in pixels.
const (
	svgWidth   = 900
	svgRail    = 90  // distance of the rails from the edges
	svgServer  = 500 // where the server's text begins
	svgTop     = 84
	svgLine    = 17 // of text
	svgSpacing = 13 // between datagrams
)

const svgHead = `<svg xml:space="preserve" xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<style>
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #24292f }
.title { font-weight: bold; font-size: 15px } .side { font-weight: bold; font-size: 13px }
.end { text-anchor: end } .middle { text-anchor: middle }
.dim { fill: #6e7781; font-size: 11px } .again { fill: #9a6700 } .dropped, .lost { fill: #cf222e }
.rail { stroke: #8c959f; stroke-width: 2 }
.arrow { stroke: #0969da; stroke-width: 1.5; marker-end: url(#head) }
.cut { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4 }
</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="9" markerHeight="9" orient="auto">
<path d="M0 1 10 5 0 9z" fill="#0969da"/></marker></defs>
<rect width="100%%" height="100%%" rx="8" fill="#ffffff"/>
`

// svg draws the ladder as a picture below a title.
func (l *ladder) svg(title string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var body strings.Builder
	y, last := svgTop, l.lastServerHello()
	for _, r := range l.rungs {
		y = r.drawSVG(&body, y, last)
	}
	bottom := y + svgSpacing
	var b strings.Builder
	fmt.Fprintf(&b, svgHead, svgWidth, bottom+20)
	svgText(&b, "title middle", svgWidth/2, 28, title)
	svgText(&b, "side middle", svgRail, 56, "client")
	svgText(&b, "side middle", svgWidth-svgRail, 56, "server")
	for _, x := range []int{svgRail, svgWidth - svgRail} {
		fmt.Fprintf(&b, `<line class="rail" x1="%d" y1="66" x2="%[1]d" y2="%d"/>`+"\n", x, bottom)
	}
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
	return b.String()
}

// drawSVG draws a rung from y down, and returns where the next one begins: the
// text on the sender's side, the arrow below it, and what the receiver says.
func (r *rung) drawSVG(b *strings.Builder, y int, lastServerHello uint16) int {
	if r.note != "" {
		svgBeside(b, r.from, y+svgLine, "dim", r.note)
		return y + svgLine + svgSpacing
	}
	var drops []line
	for _, l := range r.lines(lastServerHello) {
		switch {
		case l.dropped:
			drops = append(drops, l)
			continue
		case l.again:
			svgBeside(b, r.from, y+svgLine, "again", l.String())
		default:
			svgBeside(b, r.from, y+svgLine, "", l.text)
		}
		y += svgLine
	}
	y += 8
	r.arrowSVG(b, y)
	svgText(b, "dim end", svgRail-10, y+4, fmt.Sprintf("%.1f ms", milliseconds(r.at)))
	for _, l := range drops {
		y += svgLine
		svgBeside(b, r.from.Peer(), y, "dropped", l.text)
	}
	return y + svgSpacing
}

// arrowSVG draws the datagram, as far as it gets.
func (r *rung) arrowSVG(b *strings.Builder, y int) {
	from, to, class := svgRail+2, svgWidth-svgRail-2, "arrow"
	if r.from == handshake.Server {
		from, to = to, from
	}
	if r.lost {
		to, class = (from+2*to)/3, "cut"
		svgText(b, "lost middle", to, y+4, "✗")
	}
	fmt.Fprintf(b, `<line class="%s" x1="%d" y1="%d" x2="%d" y2="%[3]d"/>`+"\n", class, from, y, to)
	svgText(b, "dim middle", svgWidth/2, y-5, fmt.Sprintf("%d bytes", r.size))
}

// svgBeside writes text on a side's half.
func svgBeside(b *strings.Builder, side handshake.Role, y int, class, text string) {
	x := svgRail + 12
	if side == handshake.Server {
		x = svgServer
	}
	svgText(b, class, x, y, text)
}

func svgText(b *strings.Builder, class string, x, y int, text string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">`, class, x, y)
	xml.EscapeText(b, []byte(text))
	b.WriteString("</text>\n")
}
