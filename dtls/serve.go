package dtls

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Serve is for servers with many clients: instead of Accept, and a goroutine that Reads
// for each connection, handler gets what comes over any of them, record by record, on the
// goroutine that reads the socket. An idle connection then has no goroutine, no buffer and
// no queue. Serve runs handshakes, and blocks until the Listener is closed; then it closes
// its connections and returns net.ErrClosed, or what happened to the socket. Conns that
// Accept has returned are not Serve's.
//
// A call without data, the last one for c, says that the connection is over: c.Read then
// says why, with io.EOF after the peer's goodbye. Afterwards c is closed. A client whose
// handshake fails is not heard of, nor is one that says nothing. Conns without a word stay
// until the application closes them: Listener.Conns finds them.
//
// There is one call at a time, and the data is the handler's until it returns. As all
// clients wait for it, it must not block: it may call any method of any Conn but Read,
// ReadEarly and Handshake, and what takes long belongs to another goroutine; with
// Config.Store so do Close, and Write where a Store may be slow, as they wait for it. What it
// writes leaves together with what it writes to other clients, once all that came with
// this record is handled; what the socket says of it then counts as loss. If it panics and
// doesn't recover, the program ends.
func (l *Listener) Serve(handler func(c *Conn, data []byte)) error {
	if !l.handleBy(handler) {
		return errServing
	}
	var handshakes sync.WaitGroup
	running := make(chan struct{}, maxHandshakes(l.config)) // also those that are over and wait for a callback
	for p := l.nextServed(running); p != nil; p = l.nextServed(running) {
		handshakes.Go(func() {
			p.drive()
			<-running
		})
	}
	l.endServed() // with those whose handshakes run
	handshakes.Wait()
	l.endServed()
	return l.failure()
}

var errServing = errors.New("dtls: the Listener serves already")

// handleBy sets the handler, once.
func (l *Listener) handleBy(handler func(c *Conn, data []byte)) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.handler != nil {
		return false
	}
	l.handler = handler
	return true
}

// nextServed is the next client, whose handshake then runs on a goroutine of its own, when
// there is room for that among those that run; nil once the Listener is closed.
func (l *Listener) nextServed(running chan struct{}) *peer {
	select {
	case running <- struct{}{}:
	case <-l.done:
		return nil
	}
	c, err := l.AcceptConn()
	if err != nil {
		return nil
	}
	p := c.link.(*peer)
	p.served.ours.Store(true)
	return p
}

// endServed ends what Serve has.
func (l *Listener) endServed() {
	for _, p := range l.all() {
		if p.served.ours.Load() {
			p.conn.Close()
			l.turn.Lock()
			p.finish()
			l.turn.Unlock()
		}
	}
}

// served is what a peer is to Serve.
type served struct {
	ours atomic.Bool // from its handshake on
	on   atomic.Bool // the handler gets what comes, and what is sent may wait for other replies

	// The Listener's turn guards these.
	works    bool // a goroutine is at work of the application
	finished bool // the handler knows that it is over
}

// drive runs the handshake, and then leaves the peer to the goroutine that reads the
// socket, with what has come meanwhile.
func (p *peer) drive() {
	c, l := p.conn, p.listener
	if c.Handshake() != nil {
		c.Close()
		return
	}
	c.mu.Lock()
	c.acquire() // nobody else reads what waits
	c.mu.Unlock()
	l.turn.Lock()
	defer l.turn.Unlock()
	waiting := p.in.packets
	c.mu.Lock()
	p.in.packets = nil
	p.served.on.Store(true)
	c.waiting.Store(true) // nobody needs to poll
	c.onOver = p.finishLater
	c.release()
	p.dispense()
	for len(waiting) > 0 {
		in := <-waiting
		p.serve(in.data, in.path, time.Now())
		in.release()
	}
}

// serve takes a datagram for the handler. The caller has the Listener's turn.
func (p *peer) serve(datagram []byte, from Path, now time.Time) {
	c := p.conn
	c.mu.Lock()
	c.receiveFrom(datagram, from, now)
	c.answer()
	p.dispense()
}

// serveWaiting serves what doesn't come from the socket.
func (p *peer) serveWaiting() {
	p.listener.turn.Lock()
	defer p.listener.turn.Unlock()
	p.conn.mu.Lock()
	p.dispense()
}

// dispense gives the handler all that can be read, and unlocks the Conn for it. The caller
// has the Listener's turn.
func (p *peer) dispense() {
	c := p.conn
	for data, ok := c.next(); ok; data, ok = c.next() {
		c.mu.Unlock()
		p.listener.handler(c, data)
		c.mu.Lock()
	}
	if c.engine.machine.Work() != nil && !p.served.works && !c.closed {
		p.served.works = true
		go p.work()
	}
	over := c.closed || c.failure != nil || c.engine.Closed() != nil
	c.mu.Unlock()
	if over {
		p.finish()
	}
}

// next is the next record's data, where it lies. Once the Conn is closed there is none, and
// nothing stays where the next datagram will lie.
func (c *Conn) next() (data []byte, ok bool) {
	if c.closed {
		c.engine.inbox.reset()
		return nil, false
	}
	if data, ok = c.backlog.next(); ok {
		return data, ok
	}
	return c.engine.next()
}

// work runs what a step after the handshake waits for.
func (p *peer) work() {
	c := p.conn
	c.mu.Lock()
	c.acquire()
	c.work()
	c.release()
	c.mu.Unlock()
	p.listener.turn.Lock()
	p.served.works = false
	p.listener.turn.Unlock()
	p.serveWaiting()
}

// finishLater is finish for a caller who has other locks.
func (p *peer) finishLater() {
	time.AfterFunc(0, func() {
		p.listener.turn.Lock()
		defer p.listener.turn.Unlock()
		p.finish()
	})
}

// finish tells the handler that the connection is over, once. The caller has the
// Listener's turn.
func (p *peer) finish() {
	if p.served.on.Load() && !p.served.finished {
		p.served.finished = true
		p.listener.handler(p.conn, nil)
		if p.listener.config.Store == nil {
			p.conn.Close()
		} else {
			go p.conn.Close() // which asks the Store: nobody shall wait for that
		}
	}
}
