package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot shows how long a record takes by its size, for each peer, on two
// logarithmic axes. All lengths are in pixels.
const (
	plotWidth, plotHeight = 900, 560
	plotLeft, plotRight   = 70, 190 // margins; names stand in the right one
	plotTop, plotBottom   = 50, 60
	namesApart            = 16
)

// strokes are the colors of the columns, in their order.
var strokes = []string{"#888888", "#1b9e77", "#0b5394", "#7cc9ac", "#6fa8dc", "#d62728", "#e6ab02", "#a6761d", "#7b3fa0"}

// A curve is one peer's.
type curve struct {
	name, stroke string
	sizes, times []float64
}

// curves are those of the peers that were measured at two sizes or more.
func (d document) curves() (all []curve) {
	for i, p := range d.peers {
		c := curve{name: p.name(), stroke: strokes[i%len(strokes)]}
		for _, size := range recordSizes {
			if t := d.results.median(subject{recordsOf(size), p.name(), cost}); !math.IsNaN(t) {
				c.sizes, c.times = append(c.sizes, float64(size)), append(c.times, t)
			}
		}
		if len(c.sizes) > 1 {
			all = append(all, c)
		}
	}
	return all
}

// An axis maps values between two powers of a base to pixels.
type axis struct{ least, most, from, to float64 }

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*math.Log(v/a.least)/math.Log(a.most/a.least)
}

// plot is the picture, as SVG.
func (d document) plot() string {
	curves := d.curves()
	least, most := math.Inf(1), 1.0
	for _, c := range curves {
		least, most = min(least, slices.Min(c.times)), max(most, slices.Max(c.times))
	}
	if len(curves) == 0 {
		least = most
	}
	x := axis{float64(recordSizes[0]), float64(recordSizes[len(recordSizes)-1]), plotLeft, plotWidth - plotRight}
	y := axis{powerBelow(least), 10 * powerBelow(most), plotHeight - plotBottom, plotTop}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	label(&b, plotLeft, 25, "start", "#000000", "CPU time for a record, written and read in memory, AES-128-GCM: ns by bytes")
	drawGrid(&b, x, y)
	for i, c := range curves {
		drawCurve(&b, x, y, c)
		drawName(&b, i, c)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// powerBelow is the power of ten that is not above v.
func powerBelow(v float64) float64 { return math.Pow(10, math.Floor(math.Log10(v))) }

func drawGrid(b *strings.Builder, x, y axis) {
	for _, size := range recordSizes {
		at := x.at(float64(size))
		line(b, at, y.from, at, y.to, "#dddddd")
		label(b, at, plotHeight-plotBottom+20, "middle", "#000000", fmt.Sprint(size))
	}
	for power := y.least; power <= y.most*1.01; power *= 10 {
		for _, factor := range []float64{1, 2, 5} {
			if v := power * factor; v <= y.most*1.01 {
				line(b, x.from, y.at(v), x.to, y.at(v), "#dddddd")
				label(b, plotLeft-8, y.at(v)+4, "end", "#000000", fmt.Sprint(math.Round(v)))
			}
		}
	}
}

func drawCurve(b *strings.Builder, x, y axis, c curve) {
	var points []string
	for i := range c.sizes {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(c.sizes[i]), y.at(c.times[i])))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), c.stroke)
}

// drawName writes a line of the legend, in the order of the table.
func drawName(b *strings.Builder, i int, c curve) {
	left, at := float64(plotWidth-plotRight+15), float64(plotTop+10+i*namesApart)
	line(b, left, at-4, left+20, at-4, c.stroke)
	label(b, left+26, at, "start", "#000000", c.name)
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

func label(b *strings.Builder, x, y float64, anchor, fill, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, text)
}
