package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pion/datachannel"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/examples/webrtc/peer"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// A run is one connection between the page and us.
type run struct {
	scenario scenario
	task     task
	ctx      context.Context
	reported chan report

	mu      sync.Mutex // guards what follows while the page may still send its offer
	closed  bool
	peer    *peer.Peer
	running sync.WaitGroup
	served  chan struct{} // closed once our side of the connection is at its end

	// Of the goroutine that serves the connection; read once it has ended.
	stranger *stranger // on the path, or nil
	state    peer.State
	opened   bool // a data channel, on our side
	failure  error
}

// A task is a run as the page sees it.
type task struct {
	ID       int       `json:"id"`
	Media    peer.Kind `json:"media"`    // to receive
	Bytes    int       `json:"bytes"`    // to send through the channel
	Frames   int       `json:"frames"`   // of media that will come
	Patience int       `json:"patience"` // ms to wait for the last of them
	Limit    int       `json:"limit"`    // ms for all of it
}

// A report is what the page says of a run. Most of it is of the browser's getStats.
type report struct {
	Browser    string `json:"browser"` // as it calls itself
	Error      string `json:"error"`
	Opened     bool   `json:"opened"` // the data channel
	Echoed     int    `json:"echoed"` // bytes that came back as they were
	Packets    int    `json:"packets"`
	TLSVersion string `json:"tlsVersion"`
	DTLSCipher string `json:"dtlsCipher"`
	SRTPCipher string `json:"srtpCipher"`
	DTLSRole   string `json:"dtlsRole"`
	DTLSState  string `json:"dtlsState"`
}

func newRun(ctx context.Context, id int, c scenario) *run {
	t := task{ID: id, Media: c.media, Bytes: c.bytes, Patience: 2000, Limit: int(c.patience().Milliseconds()) - 2000}
	if c.media != "" && c.loss == 0 && c.wrong != mediaKeys {
		t.Frames = frames
	} else if c.media != "" && c.loss > 0 {
		t.Frames = 1 // of those that get through
	}
	return &run{scenario: c, task: t, ctx: ctx, reported: make(chan report, 1), served: make(chan struct{})}
}

// answer makes our side, which serves the connection until close.
func (r *run) answer(offer string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.peer != nil {
		return "", errors.New("one offer is enough")
	}
	if r.scenario.wrong == browsersPrint {
		offer = spoilFingerprints(offer)
	}
	p, answer, err := peer.Answer(r.ctx, offer, peer.Config{DTLS: r.scenario.dtlsConfig(), Setup: r.scenario.setup(), Link: r.link})
	if err != nil {
		return "", err
	}
	if r.scenario.wrong == ourPrint {
		answer = spoilFingerprints(answer)
	}
	r.peer = p
	r.running.Go(func() {
		defer close(r.served)
		r.failure = r.serve()
	})
	return answer, nil
}

// spoilFingerprints changes the first hex digits of all fingerprints in a description.
func spoilFingerprints(description string) string {
	const begin = "a=fingerprint:sha-256 "
	var spoiled strings.Builder
	for line := range strings.Lines(description) {
		if rest, ok := strings.CutPrefix(line, begin); ok {
			other := "00"
			if strings.HasPrefix(rest, other) {
				other = "01"
			}
			line = begin + other + rest[2:]
		}
		spoiled.WriteString(line)
	}
	return spoiled.String()
}

// serve connects, sends media and echoes what comes through the channel. Its error is
// of the time before the channel is open.
func (r *run) serve() error {
	if err := r.peer.Connect(r.ctx); err != nil {
		return err
	}
	r.state = r.peer.State()
	channel, err := r.peer.AcceptChannel()
	if err != nil {
		return err
	}
	r.opened = true
	if r.stranger != nil {
		if err := r.stranger.learn(r.peer.SRTPProfile()); err != nil {
			return err
		}
	}
	for _, t := range r.peer.Tracks() {
		for range frames {
			if err := t.Send(); err != nil {
				return err
			}
		}
	}
	echo(channel)
	return nil
}

// echo ends with the channel.
func echo(c *datachannel.DataChannel) {
	b := make([]byte, peer.MaxMessage)
	for {
		n, text, err := c.ReadDataChannel(b)
		if err != nil {
			return
		}
		if _, err := c.WriteDataChannel(b[:n], text); err != nil {
			return
		}
	}
}

// close ends the connection and waits for what served it.
func (r *run) close() error {
	r.mu.Lock()
	r.closed = true
	p := r.peer
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.Close()
	r.running.Wait()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// --- What came of it

// A result is what one run prints.
type result struct {
	Browser    string `json:"browser"`    // as it calls itself
	Role       string `json:"role"`       // godwit's
	TLSVersion string `json:"tlsVersion"` // this and the next three as the browser reports them
	DTLSCipher string `json:"dtlsCipher"`
	SRTPCipher string `json:"srtpCipher"`
	DTLSRole   string `json:"dtlsRole"`
	Group      string `json:"group"`
	Opened     bool   `json:"opened"`       // the data channel
	Echoed     int    `json:"echoed_bytes"` // that the browser got back as it had sent them
	Packets    int    `json:"rtp_packets"`  // that the browser counted

	// From the first datagram of DTLS to the end of the handshake on our side.
	Milliseconds float64 `json:"dtls_ms"`
	RoundTrips   float64 `json:"round_trips"`
	Retransmits  uint64  `json:"retransmits"`

	Refused string `json:"refused,omitempty"` // why, where that was right
}

// wireVersions are the versions as getStats names them.
var wireVersions = map[string]string{"1.3": "FEFC", "1.2": "FEFD"}

// judge says whether that is what had to come.
func (r *run) judge(p report) (result, error) {
	c := r.scenario
	got := result{Browser: p.Browser, Role: c.role, TLSVersion: p.TLSVersion, DTLSCipher: p.DTLSCipher, SRTPCipher: p.SRTPCipher, DTLSRole: p.DTLSRole,
		Group: r.state.Group, Opened: p.Opened, Echoed: p.Echoed, Packets: p.Packets,
		Milliseconds: r.state.Milliseconds, RoundTrips: r.state.RoundTrips, Retransmits: r.state.Retransmits}
	if c.wrong == ourPrint || c.wrong == browsersPrint {
		return r.judgeRefusal(got, p)
	}
	var wrong []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	expect(p.Error == "", "the page says: %s", p.Error)
	expect(r.failure == nil, "our side: %w", r.failure)
	expect(p.Opened && r.opened, "the channel is not open: %v here, %v in the browser", r.opened, p.Opened)
	expect(p.Echoed == c.bytes, "%d bytes of %d came back", p.Echoed, c.bytes)
	expect(p.TLSVersion == wireVersions[c.version], "tlsVersion is %q", p.TLSVersion)
	expect(p.DTLSRole == map[string]string{"client": "server", "server": "client"}[c.role], "dtlsRole is %q", p.DTLSRole)
	expect(c.group == "" || r.state.Group == c.group, "the group is %s", r.state.Group)
	switch {
	case c.media == "":
	case c.wrong == mediaKeys:
		expect(p.Packets == 0, "%d RTP packets of other keys were counted", p.Packets)
	case c.loss > 0:
		expect(p.Packets > 0, "no RTP packets were counted")
	default:
		expect(p.Packets == frames, "%d RTP packets of %d were counted", p.Packets, frames)
	}
	return got, errors.Join(wrong...)
}

// judgeRefusal is judge where a fingerprint is wrong: nothing may open, and both sides
// must know why.
func (r *run) judgeRefusal(got result, p report) (result, error) {
	switch {
	case p.Error != "":
		return got, fmt.Errorf("the page says: %s", p.Error)
	case p.Opened || r.opened:
		return got, errors.New("a channel opened in spite of the fingerprint")
	case p.DTLSState != "failed":
		return got, fmt.Errorf("the browser's DTLS is %s", p.DTLSState)
	case !r.scenario.refuses(r.failure):
		return got, fmt.Errorf("our side ended for another reason: %w", r.failure)
	}
	got.Refused = r.failure.Error()
	return got, nil
}

// refuses reports whether an error of ours is that of the wrong fingerprint.
func (c scenario) refuses(err error) bool {
	if c.wrong == browsersPrint {
		return errors.Is(err, alert.WrongFingerprint)
	}
	e, ok := errors.AsType[*dtls.Error](err)
	return ok && e.Received && (e.Alert == alert.CertificateUnknown || e.Alert == alert.BadCertificate)
}
