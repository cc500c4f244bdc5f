package dtls

import (
	"net/netip"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// What is written of an open Engine when its connection shall go on elsewhere, and
// read there. A field more is a line more here, and another blobFormat.

// code writes the Engine, or reads it into a new one whose machine is one of
// handshake.Continue. Unread are the records that nobody has read yet.
func (e *Engine) code(c *wire.Codec, unread *[][]byte) {
	e.machine.Code(c)
	if c.Err() != nil {
		return
	}
	e.ids.code(c)
	e.paths.code(c)
	e.codeEpochs(c)
	e.codeIncoming(c)
	e.codeFlight(c)
	wire.Number(c, &e.mtu)
	c.Flag(&e.exactMTU)
	wire.List(c, unread, c.Data)
}

// code codes where the peer is. At which of our addresses it finds us is another
// matter elsewhere; a check that is under way begins anew.
func (p *paths) code(c *wire.Codec) {
	remote := p.current.Remote.String()
	if !p.current.Remote.IsValid() {
		remote = ""
	}
	if c.Text(&remote); !c.Reads() || remote == "" {
		return
	}
	var err error
	if p.current.Remote, err = netip.ParseAddrPort(remote); err != nil {
		c.Fail("%v", err)
	}
}

// code codes the connection IDs of both directions.
func (c *connectionIDs) code(to *wire.Codec) {
	wire.List(to, &c.local, to.Data)
	wire.Number(to, &c.used)
	wire.Number(to, &c.given)
	to.Data(&c.remote)
	wire.List(to, &c.spare, to.Data)
	to.Flag(&c.change)
	if to.Reads() && (c.used >= max(1, len(c.local)) || len(c.local) > 2*maxIDs || len(c.spare) > maxIDs) {
		to.Fail("%d and %d connection IDs, of which number %d is used", len(c.local), len(c.spare), c.used)
	}
}

// codeEpochs codes the keys of both directions, with their numbers. Those of 0-RTT
// don't last.
func (e *Engine) codeEpochs(c *wire.Codec) {
	s := e.machine.Suite()
	reads, writes := slices.DeleteFunc(slices.Clone(e.reads), (*readEpoch).isEarly), e.writes
	wire.List(c, &reads, func(r **readEpoch) {
		if *r == nil {
			*r = new(readEpoch)
		}
		(*r).code(c, s)
	})
	wire.List(c, &writes, func(w **writeEpoch) {
		if *w == nil {
			*w = &writeEpoch{padding: e.config.RecordPadding, reserved: unlimited}
		}
		if (*w).code(c, s); (*w).number > 0 {
			(*w).ids, (*w).short = &e.ids, e.config.ShortRecordHeaders && (*w).mask != nil
		}
	})
	if !c.Reads() || c.Err() != nil {
		return
	}
	if len(reads) == 0 || len(writes) == 0 || writes[len(writes)-1].sealer == nil {
		c.Fail("there are no keys")
		return
	}
	e.reads, e.writes = reads, writes
}

func (r *readEpoch) code(c *wire.Codec, s *suite.Suite) {
	key := handshake.TrafficKey{Level: r.number, Suite: s}
	var failed uint64
	if !c.Reads() {
		key.Key, failed = r.opener.Key(), r.opener.Failed()
	}
	codeKey(c, &key)
	wire.Number(c, &failed)
	if c.Reads() && c.Err() == nil {
		made, err := newReadEpoch(key)
		if err != nil {
			c.Fail("%v", err)
			return
		}
		*r = *made
		r.opener.Resume(failed)
		r.failures = failed
	}
	r.window.Code(c)
	c.Flag(&r.opened)
	c.Flag(&r.heard)
	c.Flag(&r.replacing)
	c.Time(&r.dies)
}

// code codes an epoch; epoch 0 has no key.
func (w *writeEpoch) code(c *wire.Codec, s *suite.Suite) {
	key := handshake.TrafficKey{Level: w.number, Suite: s}
	version, next, padding := w.version, w.next, w.padding
	var records, blocks uint64
	if !c.Reads() && w.sealer != nil {
		key.Key = w.sealer.Key()
		records, blocks = w.sealer.Sealed()
	}
	codeKey(c, &key)
	wire.Number(c, &version)
	wire.Number(c, &next)
	wire.Number(c, &records)
	wire.Number(c, &blocks)
	if c.Reads() && c.Err() == nil && key.Level > 0 {
		made, err := newWriteEpoch(key)
		if err != nil {
			c.Fail("%v", err)
			return
		}
		*w = *made
		w.sealer.Resume(records, blocks)
	}
	w.version, w.next, w.padding = version, next, padding
	c.Flag(&w.updating)
}

func codeKey(c *wire.Codec, k *handshake.TrafficKey) {
	wire.Number(c, &k.Level)
	for _, part := range []*[]byte{&k.Key.MAC, &k.Key.Key, &k.Key.IV, &k.Key.Number} {
		c.Data(part)
	}
}

// codeIncoming codes what has come and isn't done with.
func (e *Engine) codeIncoming(c *wire.Codec) {
	e.assembler.Code(c)
	var waiting []handshake.Message
	if e.current != nil {
		waiting = append(waiting, *e.current)
	}
	wire.List(c, &waiting, func(m *handshake.Message) {
		wire.Number(c, &m.Type)
		wire.Number(c, &m.Seq)
		c.Data(&m.Body)
		m.Content = protocol.Handshake
	})
	c.Flag(&e.heard)
	e.received.Code(c)
	c.Time(&e.ackSince)
	c.Flag(&e.ackDue)
	c.Flag(&e.news)
	wire.Number(c, &e.unheard)
	c.Flag(&e.closing.received)
	if !c.Reads() || c.Err() != nil {
		return
	}
	switch len(waiting) {
	case 0:
	case 1:
		e.current = &waiting[0]
	default:
		c.Fail("%d messages are being read", len(waiting))
	}
	e.authenticated = true
}

// codeFlight codes our last flight. Who repeats it is for whoever goes on with it
// to say.
func (e *Engine) codeFlight(c *wire.Codec) {
	e.flight.Code(c)
	c.Flag(&e.flushed)
	c.Flag(&e.switched)
	wire.Number(c, &e.reply)
	e.backoff.Code(c)
	wire.Number(c, &e.repeats)
	e.measure.code(c)
}

// unread are the records that wait to be read, in their order.
func (e *Engine) unread() (records [][]byte) {
	records, e.early.data = e.early.data.all(), nil
	for p, ok := e.inbox.next(); ok; p, ok = e.inbox.next() {
		records = append(records, p)
	}
	return records
}

// settle makes what was read fit the time and the Config of here: a clock may be
// behind the one that it was written by.
func (e *Engine) settle(now time.Time) {
	e.now = now
	e.limit()
	if e.ackSince.After(now) {
		e.ackSince = now
	}
	e.pace()
	if !e.flight.Empty() && e.reply == handshake.NoReply && !e.version.Is13() {
		e.flightDies = now.Add(lifetime)
	}
	if e.backoff.Deadline().After(now.Add(e.backoff.Timeout() + e.backoff.Delay)) {
		e.backoff.Arm(now)
	}
	for _, r := range e.reads {
		if end := now.Add(lifetime); r.dies.After(end) {
			r.dies = end
		}
	}
	if mtu := e.config.MTU; mtu != 0 { // what was found to be too large is so here, too
		e.mtu, e.exactMTU = min(e.mtu, mtu), true
	}
	if e.search != nil { // what was found may not be so here
		e.mtu = min(e.mtu, firstMTU(e.config))
		e.beginSearch()
	}
}
