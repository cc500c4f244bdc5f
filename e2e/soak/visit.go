package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A visit is an honest client, from its first datagram until it has gone.
type visit struct {
	*site
	tally   *tally
	rng     *rand.Rand
	version uint16
	to      *server
	config  *dtls.Config
	gossip  *gossip
}

// newVisit draws what is up to chance.
func (r *run) newVisit(seed uint64) *visit {
	v := &visit{site: r.site, tally: r.tally, gossip: r.gossip, rng: rand.New(rand.NewPCG(r.seed, seed))}
	v.version = versions[v.rng.IntN(len(versions))]
	if n := len(r.site.datagrams); n > 0 {
		v.to = r.site.datagrams[v.rng.IntN(n)]
	}
	v.config = r.site.forClient(v.version, v.rng.IntN(2) == 0)
	return v
}

// withIDs lets the client's records carry the server's connection ID.
func (v *visit) withIDs() { v.config.ConnectionIDs = dtls.RandomConnectionIDs(v.rng.IntN(5)) }

// remembering lets it resume sessions.
func (v *visit) remembering() {
	v.config.ClientSessionCache = dtls.NewLRUClientSessionCache(4)
}

// dial connects over a bare socket, which Conns read and write in batches.
func (v *visit) dial(ctx context.Context) (*dtls.Conn, error) {
	c, err := (&dtls.Dialer{Config: v.config}).DialContext(ctx, "udp4", v.to.address.String())
	if err != nil {
		return nil, err
	}
	v.tally.handshakes.Add(1)
	return c.(*dtls.Conn), nil
}

// connect connects over a link.
func (v *visit) connect(ctx context.Context, w weather) (*dtls.Conn, *link, error) {
	l, err := newLink(v.to.address, w, v.rng)
	if err != nil {
		return nil, nil, err
	}
	l.overhear = v.gossip.hear
	c, err := dtls.Client(l, v.config)
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	if err := v.shake(ctx, c); err != nil {
		return nil, nil, err
	}
	return c, l, nil
}

// shake runs the handshake of a Conn, which it closes if that fails.
func (v *visit) shake(ctx context.Context, c shaker) error {
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return err
	}
	v.tally.handshakes.Add(1)
	return nil
}

type shaker interface {
	HandshakeContext(context.Context) error
	Close() error
}

// ask wants an echo. What is lost is asked for again, without the order, which was perhaps
// carried out, and more often than a server's patience ends; a late echo of an earlier
// question is passed over.
func (v *visit) ask(ctx context.Context, c net.Conn, o order) error {
	question := v.question(o)
	buf := make([]byte, 2048)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if _, err := c.Write(question); err != nil {
			return fmt.Errorf("asking: %w", err)
		}
		c.SetReadDeadline(time.Now().Add(wait))
		err := readUntil(c, buf, question)
		switch {
		case err == nil:
			v.tally.echoes.Add(1)
			return nil
		case !timedOut(err):
			return fmt.Errorf("waiting for an echo: %w", err)
		case ctx.Err() != nil:
			return fmt.Errorf("no echo: %w", context.Cause(ctx))
		}
		v.tally.repeated.Add(1)
		question[0] = byte(echo)
	}
}

func readUntil(c net.Conn, buf, want []byte) error {
	for {
		n, err := c.Read(buf)
		if err != nil || n > 0 && bytes.Equal(buf[1:n], want[1:]) {
			return err
		}
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// question is a message that no other is like.
func (v *visit) question(o order) []byte {
	q := binary.BigEndian.AppendUint64([]byte{byte(o)}, v.rng.Uint64())
	return append(q, make([]byte, v.rng.IntN(900))...)
}
