package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

const (
	demoName     = "godwit.example"
	demoPatience = 30 * time.Second // for everything
	demoResend   = 150 * time.Millisecond
	demoGoodbye  = 300 * time.Millisecond
	// demoTimeout is the first retransmission timeout. RFC 9147 5.8.2 lets those
	// who know the round trip choose a shorter one, and on loopback we do.
	demoTimeout = 100 * time.Millisecond
)

// A demonstration is a client and a server in one process, and a wire between
// them that tells what it carries.
type demonstration struct {
	ladder         *ladder
	client, server dtls.Config
	listener       *dtls.Listener
	wire           *wire
	conn           *dtls.Conn               // the client's
	replies        chan string              // what the client reads
	rekeyed        chan handshake.Direction // new keys of the client after the handshake
	answered       chan answered            // the server's end
	end            answered                 // what answered said
	complete       time.Duration            // how long the client's handshake took
}

// answered is how the server's side ended.
type answered struct {
	retransmits uint64
	err         error // nil for a goodbye
}

// demo shows a conversation from the handshake to the goodbye.
func demo(ctx context.Context, o *options, con *console) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("not done after %v: try less loss or another seed", demoPatience))
	defer cancel()
	defer o.close()
	d, err := newDemonstration(o)
	if err != nil {
		return err
	}
	err = d.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	fmt.Fprint(con.out, d.ladder, "\n")
	if err != nil {
		return err
	}
	r := newReport(d.conn.ConnectionState(), handshake.Client)
	d.summarize(con, r)
	if o.svgFile != "" {
		title := fmt.Sprintf("%s · %s · %s", r.Version, r.Cipher, r.Group)
		return os.WriteFile(o.svgFile, []byte(d.ladder.svg(title)), 0o666)
	}
	return nil
}

// newDemonstration sets the stage: a listener, and the wire to it.
func newDemonstration(o *options) (*demonstration, error) {
	d := &demonstration{
		ladder:   newLadder(),
		replies:  make(chan string),
		rekeyed:  make(chan handshake.Direction, 2),
		answered: make(chan answered, 1),
	}
	err := d.configure(o.config)
	if err == nil {
		err = d.openTraces(o)
	}
	if err != nil {
		return nil, err
	}
	if d.listener, err = dtls.Listen("udp", "127.0.0.1:0", &d.server); err != nil {
		return nil, err
	}
	if d.wire, err = newWire(d.listener.Addr(), o.loss, o.seed, d.ladder.carried); err != nil {
		d.listener.Close()
		return nil, err
	}
	return d, nil
}

// configure makes the Configs of both sides: each has a fresh certificate, and
// knows the fingerprint of the other's.
func (d *demonstration) configure(common dtls.Config) error {
	server, err := dtls.SelfSigned(demoName)
	if err != nil {
		return err
	}
	client, err := dtls.SelfSigned("client")
	if err != nil {
		return err
	}
	common.InitialTimeout = demoTimeout
	common.Trace = d.trace
	if common.MinVersion == 0 && common.MaxVersion != dtls.VersionDTLS12 {
		common.MinVersion = dtls.VersionDTLS13
	}
	d.server, d.client = common, common
	d.server.Certificates = []tls.Certificate{server}
	d.server.PeerFingerprints = []string{fingerprint(client.Certificate[0])}
	d.client.Certificates = []tls.Certificate{client}
	d.client.ServerName = demoName
	d.client.PeerFingerprints = []string{fingerprint(server.Certificate[0])}
	if err := d.client.Validate(handshake.Client, protocol.Datagram); err != nil {
		return usageError{err}
	}
	return nil
}

// openTraces lets both sides write their qlogs too, for trace.sqlog into
// trace-client.sqlog and trace-server.sqlog.
func (d *demonstration) openTraces(o *options) error {
	if o.traceFile == "" {
		return nil
	}
	suffix := filepath.Ext(o.traceFile)
	for role, config := range map[handshake.Role]*dtls.Config{handshake.Client: &d.client, handshake.Server: &d.server} {
		write, err := o.createTrace(fmt.Sprintf("%s-%v%s", strings.TrimSuffix(o.traceFile, suffix), role, suffix))
		if err != nil {
			return usageError{err}
		}
		config.Trace = func(e dtls.Event) {
			d.trace(e)
			write(e)
		}
	}
	return nil
}

// trace is the Config.Trace of both sides.
func (d *demonstration) trace(e dtls.Event) {
	d.ladder.trace(e)
	const application = 3 // the epoch of 1.3's first application keys
	if e.Kind == handshake.EventKey && e.Role == handshake.Client && e.Number.Epoch > application {
		select {
		case d.rekeyed <- e.Direction:
		default: // there are just two
		}
	}
}

// run is the conversation.
func (d *demonstration) run(ctx context.Context) error {
	defer d.wire.close()
	defer d.listener.Close()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	go d.serve(serving)

	begin := time.Now()
	c, err := (&dtls.Dialer{Config: &d.client}).DialContext(ctx, "udp", d.wire.address())
	if err != nil {
		return err
	}
	d.complete = time.Since(begin)
	d.conn = c.(*dtls.Conn)
	defer d.conn.Close()
	go d.read(ctx)
	if err := d.exchange(ctx, "a godwit flies"); err != nil {
		return err
	}
	if protocol.Version(d.conn.ConnectionState().Version).Is13() { // 1.2 can't
		if err := d.conn.KeyUpdate(dtls.UpdateRequested); err != nil {
			return err
		}
		if err := d.awaitKeys(ctx); err != nil { // ours
			return err
		}
		if err := d.exchange(ctx, "eleven days without rest"); err != nil {
			return err
		}
		if err := d.awaitKeys(ctx); err != nil { // the server's, who changes them when it writes
			return err
		}
	}
	d.conn.Close()
	return d.await(stop)
}

// serve is the server, for one client.
func (d *demonstration) serve(ctx context.Context) {
	c, err := d.listener.AcceptConn()
	if err != nil {
		d.answered <- answered{err: err}
		return
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err = echo(c, nil)
	c.Close()
	d.answered <- answered{c.Stats().Retransmits, err}
}

// read passes on what the client reads.
func (d *demonstration) read(ctx context.Context) {
	record := make([]byte, 1<<14)
	for {
		n, err := d.conn.Read(record)
		if err != nil {
			close(d.replies)
			return
		}
		select {
		case d.replies <- string(record[:n]):
		case <-ctx.Done():
			return
		}
	}
}

// exchange sends a text until it comes back. DTLS protects application data,
// but doesn't repeat it.
func (d *demonstration) exchange(ctx context.Context, text string) error {
	resend := time.NewTicker(demoResend)
	defer resend.Stop()
	for {
		if _, err := d.conn.Write([]byte(text)); err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case reply, open := <-d.replies:
				if !open {
					return errors.New("the server ended the conversation")
				}
				if reply == text {
					return nil
				}
			case <-resend.C:
				waiting = false
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// awaitKeys waits until one direction has new keys.
func (d *demonstration) awaitKeys(ctx context.Context) error {
	select {
	case <-d.rekeyed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await waits for the server's goodbye. A close_notify that was lost is not
// repeated: then the server ends for lack of patience.
func (d *demonstration) await(stop context.CancelFunc) error {
	select {
	case d.end = <-d.answered:
	case <-time.After(demoGoodbye):
		stop()
		d.end = <-d.answered
	}
	return d.end.err
}

// summarize prints what the conversation was.
func (d *demonstration) summarize(con *console, r report) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(con.out, "  %-16s"+format+"\n", append([]any{name}, args...)...)
	}
	line("version", "%s, over %v", r.Version, d.wire)
	line("cipher suite", "%s", r.Cipher)
	line("key exchange", "%s", r.Group)
	line("signature", "%s, certificates pinned by fingerprint", r.Signature)
	for _, role := range []handshake.Role{handshake.Client, handshake.Server} {
		datagrams, bytes, lost := d.ladder.counts(role)
		line(role.String()+" sent", "%d datagrams, %d bytes; %s lost", datagrams, bytes, count(lost))
	}
	line("retransmissions", "%s by the client, %s by the server", count(d.conn.Stats().Retransmits), count(d.end.retransmits))
	line("handshake", "%.1f ms", milliseconds(d.complete))
}

// count is a number in words, where it is one that one hopes for.
func count[T int | uint64](n T) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
