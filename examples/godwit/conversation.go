package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/tls"
)

// A conn is what *dtls.Conn and *tls.Conn have in common.
type conn interface {
	net.Conn
	HandshakeContext(context.Context) error
	ConnectionState() dtls.ConnectionState
	KeyUpdate(dtls.KeyUpdateRequest) error
	WriteEarly([]byte) (int, error)
	ForgetEarlyData()
}

var _, _ conn = (*dtls.Conn)(nil), (*tls.Conn)(nil)

// dial connects, and returns after the handshake. A text that is not nil goes out
// as 0-RTT data, if a session allows that; taken is how much of it the server
// took.
func (o *options) dial(ctx context.Context, early *string) (c conn, taken int, err error) {
	if c, err = o.goOn(); c != nil || err != nil {
		return c, 0, err
	}
	c, err = o.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	if early != nil {
		taken, err = c.WriteEarly([]byte(*early))
	}
	if err == nil || errors.Is(err, dtls.ErrNoEarlyData) {
		err = c.HandshakeContext(ctx)
	}
	if err != nil {
		c.Close()
		return nil, 0, err
	}
	if taken > 0 && !c.ConnectionState().EarlyDataAccepted {
		c.ForgetEarlyData()
		taken = 0
	}
	return c, taken, nil
}

// open makes a client, before its handshake.
func (o *options) open(ctx context.Context) (c conn, err error) {
	network := "udp"
	if o.transport == protocol.Stream {
		network = "tcp"
	}
	link, err := new(net.Dialer).DialContext(ctx, network, o.address)
	if err != nil {
		return nil, err
	}
	if o.transport == protocol.Stream {
		c, err = tls.Client(link, &o.config)
	} else {
		c, err = dtls.Client(link, &o.config)
	}
	if err != nil {
		link.Close()
		return nil, err
	}
	return c, nil
}

// listen opens the server's socket.
func (o *options) listen() (net.Listener, error) {
	if o.transport == protocol.Stream {
		return tls.Listen("tcp", o.address, &o.config)
	}
	return dtls.Listen("udp", o.address, &o.config)
}

// createTrace returns a Config.Trace that writes a qlog.
func (o *options) createTrace(file string) (func(dtls.Event), error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	o.files = append(o.files, f)
	if o.transport == protocol.Stream {
		return tls.NewQlog(f), nil
	}
	return dtls.NewQlog(f), nil
}

// handshakeContext bounds the handshake.
func (o *options) handshakeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the handshake took longer than %v", o.timeout))
}

// A conversation is an established connection whose application data is
// counted.
type conversation struct {
	conn
	options *options
	report  report
	in, out atomic.Uint64
	sentAll atomic.Bool // all that there is to send
}

// converse begins a conversation on a connection whose handshake is complete:
// -export and -key-update. If that fails there is a conversation all the same,
// to be ended.
func converse(c conn, o *options, role handshake.Role) (*conversation, error) {
	state := c.ConnectionState()
	v := &conversation{conn: c, options: o, report: newReport(state, role)}
	if err := v.report.export(state, o.exporter); err != nil {
		return v, err
	}
	if o.keyUpdate {
		return v, c.KeyUpdate(dtls.UpdateRequested)
	}
	return v, nil
}

// watchKeys closes rekeyed when what we write gets new keys. Over datagrams
// that is when the peer has acknowledged our KeyUpdate (RFC 9147 8).
func (o *options) watchKeys() {
	rekeyed := make(chan struct{})
	o.rekeyed = rekeyed
	var once sync.Once
	trace := o.config.Trace
	o.config.Trace = func(e dtls.Event) {
		const application = 3 // the epoch of 1.3's first application keys
		if e.Kind == handshake.EventKey && e.Direction == handshake.Sent && e.Number.Epoch > application {
			once.Do(func() { close(rekeyed) })
		}
		if trace != nil {
			trace(e)
		}
	}
}

func (v *conversation) Read(p []byte) (int, error) {
	n, err := v.conn.Read(p)
	v.in.Add(uint64(n))
	return n, err
}

func (v *conversation) Write(p []byte) (int, error) {
	n, err := v.conn.Write(p)
	v.out.Add(uint64(n))
	return n, err
}

// end leaves the connection and prints the report. What closing says about a
// peer that has gone already is of no interest.
func (v *conversation) end(con *console) {
	v.options.leave(v.conn)
	if !v.options.json {
		return
	}
	v.report.BytesIn, v.report.BytesOut = v.in.Load(), v.out.Load()
	if c, ok := v.conn.(*dtls.Conn); ok {
		v.report.Retransmits = c.Stats().Retransmits
	}
	v.report.print(con.out)
}

// recordSize is how many bytes of application data go into one record now: as much
// as is allowed, or as fits into a datagram of the path's MTU.
func (v *conversation) recordSize() int {
	if c, ok := v.conn.(*dtls.Conn); ok {
		return c.PathMTU().Data
	}
	return largestRecord
}

const largestRecord = 1 << 14
