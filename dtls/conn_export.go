package dtls

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// Export writes the connection down, encrypted under a key of 32 bytes, so that
// Import can go on with it in another process, and stops the Conn: nothing is said
// to the peer, the link is closed (of a Listener's Conn, its share of the socket is
// given up), and every call returns ErrExported. Data that was received and not
// read goes with it. It fails, and the Conn stays as it is, before the handshake is
// complete and after Close.
//
// With Config.Store the blob is stored, too, so that Import can tell whether it was
// imported before. If that fails, the Conn is stopped all the same, and Export may be
// called again.
//
// Warning: who has it and the key can be either peer, and read all that they say.
func (c *Conn) Export(key []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.saving { // which may end it
		c.turn.Wait()
	}
	if blob := c.engine.unstored(); blob != nil && !c.closed {
		return c.storeBlob(blob)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	blob, err := c.engine.export(key, c.backlog.all(), time.Now())
	if err != nil {
		return nil, err
	}
	c.failure, c.backlog = ErrExported, nil
	c.letGo()
	c.end()
	c.link.netConn().Close()
	return c.storeBlob(blob)
}

// storeBlob leaves the blob of Export in the Store, if there is one, without which
// it is not good.
func (c *Conn) storeBlob(blob []byte) ([]byte, error) {
	c.engine.askAgain()
	if err := c.save(); err != nil {
		return nil, err
	}
	return blob, nil
}

// Import goes on over link with a connection that Export has written down under
// this key; see ImportEngine for what the config, of the same role, is there for.
// The peer notices nothing, if what it sends comes in over the link. A Config that
// can't be used is a *ConfigError; a blob that is refused is one of ErrBlobVersion,
// ErrBlobTruncated, ErrBlobKey, ErrBlobAltered, ErrBlobRole, ErrBlobConfig,
// ErrNoStore and ErrReplayed. What Config.Store has of a connection that crashed is
// such a blob, under Config.StoreKey. When Import fails the link is the caller's.
func Import(link net.Conn, config *Config, blob, key []byte) (*Conn, error) {
	engine, err := ImportEngine(config, blob, key, time.Now())
	if err != nil {
		return nil, err
	}
	if err := engine.claimNow(time.Now()); err != nil {
		return nil, err
	}
	c := newConn(newConnLink(link), engine, new(alarms))
	c.goOn()
	return c, nil
}

// goOn begins a Conn whose Engine was imported.
func (c *Conn) goOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
	c.opened.Store(true)
	c.limit = time.Now().Add(lingerTime)
	c.stash()
	c.flush()
}

// Import goes on, on the Listener's socket, with a connection whose peer is at this
// UDP address, as Import does over a link of its own; nil is where it was when the
// connection was written down. Its connection IDs find it here, too, if
// Config.ConnectionIDs knows their length. It fails if the Listener is closed, or has
// a Conn with one of them or, where there are none, at the address already.
func (l *Listener) Import(remote net.Addr, blob, key []byte) (*Conn, error) {
	engine, err := ImportEngine(l.config, blob, key, time.Now())
	if err != nil {
		return nil, err
	}
	if engine.machine.Role() != handshake.Server {
		return nil, ErrBlobRole
	}
	at := engine.Path()
	if remote != nil {
		udp, ok := remote.(*net.UDPAddr)
		if !ok {
			return nil, fmt.Errorf("dtls: %v is not a UDP address", remote)
		}
		at.Remote = unmap(udp.AddrPort())
	}
	if !at.Remote.IsValid() {
		return nil, errors.New("dtls: the imported connection doesn't say where its peer is")
	}
	return l.adopt(engine, at)
}

// adopt goes on with a connection that was imported, in the place of what is outdated. It
// is open to whoever finds it while the Store is asked, so that no hello takes its place.
func (l *Listener) adopt(engine *Engine, at Path) (*Conn, error) {
	l.makeWay(engine)
	p := l.newPeer(engine, at)
	p.conn.opened.Store(true)
	if err := p.claim(); err != nil {
		p.Close()
		return nil, err
	}
	p.conn.goOn()
	return p.conn, nil
}

// claim lets an imported peer join its Listener, and claims the connection. A peer that
// is found may be ended meanwhile.
func (p *peer) claim() error {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	err := p.listener.join(p)
	if err == nil {
		err = p.conn.save()
	}
	if err != nil {
		p.conn.disown(err)
	}
	return err
}

// disown ends a Conn whose claim has failed, though its alarm may be set already, or
// somebody may have found it.
func (c *Conn) disown(err error) {
	c.engine.reserve.disown()
	if c.failure == nil {
		c.failure = err
	}
	c.end()
}

// abandon leaves a connection that nobody here will have to whoever finds it next.
func (c *Conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disown(net.ErrClosed)
	c.link.netConn().Close()
}

// identifiers are the connection IDs that find an Engine, with those that its peer is yet
// to learn of.
func (e *Engine) identifiers() [][]byte {
	return slices.Concat(e.ids.local, e.machine.DueConnectionIDs())
}

// join makes the connection IDs of an imported peer find it, and its address, as if its
// handshake had been complete here. If it fails the peer has to leave.
func (l *Listener) join(p *peer) error {
	engine := p.conn.engine
	for _, id := range engine.identifiers() {
		if !p.register(id) {
			return fmt.Errorf("dtls: there is a connection with the ID %x already", id)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch at := l.seatsAt(p.path.Remote); {
	case l.closed:
		return net.ErrClosed
	case at.live == nil:
		l.peers[p.path.Remote] = p
	case len(p.ids) == 0: // nothing else could find it
		return fmt.Errorf("dtls: there is a connection with %v already", p.path.Remote)
	}
	l.conns[p] = struct{}{}
	p.identity = identify(engine.State())
	return nil
}

// --- Config.Store

// StoreName is the name under which Config.Store has the connection: 16 random bytes;
// empty without a Store and before the handshake is complete.
func (c *Conn) StoreName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.StoreName()
}

// saveAt is when the timer should ask the Store: at once, if something is to be saved
// and nobody is at it.
func (c *Conn) saveAt() time.Time {
	if c.saving || !c.engine.needsStore() {
		return time.Time{}
	}
	return time.Now()
}

// save saves if that is needed, without the lock, and returns the Store's error. If
// somebody else is at it, it waits for him first.
func (c *Conn) save() error {
	for c.saving {
		c.turn.Wait()
	}
	work := c.engine.storeWork()
	if work == nil {
		return nil
	}
	c.saving = true
	c.flush() // what is due doesn't wait for it, and sets the timer
	c.mu.Unlock()
	defer func() { // a Store may panic
		c.saving = false
		c.turn.Broadcast()
	}()
	func() {
		defer c.mu.Lock()
		work()
	}()
	err := c.engine.saved(time.Now())
	if c.engine.Err() == ErrReplayed && c.failure == nil {
		c.failure = ErrReplayed
	}
	if c.engine.inbox.full && c.waiting.Load() { // for what the Store has released now
		c.stash()
		c.link.wake()
	}
	c.flush()
	return err
}

// confirm asks the Store whether the connection is still ours, and ends it if it isn't.
func (c *Conn) confirm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.reserve.contest()
	c.save()
}

// awaitStore waits until the Store has reserved more numbers. Where it has failed it
// is asked again now.
func (c *Conn) awaitStore() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return err
	}
	for c.saving {
		c.turn.Wait()
	}
	if !c.engine.waitsForStore() {
		return nil
	}
	c.engine.askAgain()
	if err := c.save(); err != nil {
		return errors.Join(ErrNotReserved, err)
	}
	return nil
}

// forgetStored deletes what is stored of a Conn that was closed.
func (c *Conn) forgetStored() error {
	c.engine.askAgain()
	return c.save()
}
