package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// A fault is something that goes wrong around the library. What is then served, and what is
// not, is known; and nothing may be left.
type fault struct {
	name   string
	happen func(s *scene) error // an error: it was not as it should be
}

var faults = []fault{
	{"the socket is closed under Accept", closeUnderAccept},
	{"the socket is closed under Serve", closeUnderServe},
	{"some of what is sent finds no buffer", refuseToSend},
	{"reading fails at times", failToRead},
	{"Close while handshakes run, Accept", closeAccept},
	{"Close while handshakes run, Serve", closeServe},
	{"contexts end in the middle", endContexts},
	{"links are closed under clients", closeLinks},
	{"callbacks panic", panicInCallbacks},
	{"a Store that fails at times", failInStore},
	{"TLS: links are closed under both", closeStreams},
}

// crowd is how many clients there are.
const crowd = 12

// A scene is a site with one server, on a socket that may fail.
type scene struct {
	*run
	listener *dtls.Listener
	socket   *troubled
	rng      *rand.Rand
}

// open opens the server.
func (s *scene) open(change func(c *dtls.Config)) error {
	pc, err := net.ListenPacket("udp4", loopback)
	if err != nil {
		return err
	}
	config := s.site.forServer(s.patience)
	change(config)
	s.socket = &troubled{PacketConn: pc}
	if s.listener, err = dtls.NewListener(s.socket, config); err != nil {
		pc.Close()
		return err
	}
	s.site.add("a server in trouble", []*dtls.Listener{s.listener})
	return nil
}

func usual(*dtls.Config) {}

// accepting opens a server with a goroutine for each client, and says how it ends.
func (s *scene) accepting(change func(c *dtls.Config)) (ended chan struct{}, err error) {
	if err := s.open(change); err != nil {
		return nil, err
	}
	ended = make(chan struct{})
	s.site.atWork.Go(func() {
		defer close(ended)
		s.site.acceptAll(s.listener)
	})
	return ended, nil
}

// visitors lets clients come at once, and waits for them. None may take longer than his
// patience lasts, whatever becomes of him.
func (s *scene) visitors(pay func(v *visit, ctx context.Context) error) error {
	var all sync.WaitGroup
	failures := make([]error, crowd)
	for i := range crowd {
		v := s.newVisit(s.rng.Uint64())
		all.Go(func() {
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), s.patience.visit)
			defer cancel()
			if failures[i] = pay(v, ctx); time.Since(began) > s.patience.visit+s.patience.idle {
				failures[i] = fmt.Errorf("a client was stuck for %v", time.Since(began))
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// soon is a moment within a handshake, or shortly behind it.
func soon(rng *rand.Rand) time.Duration { return time.Duration(rng.IntN(30)) * time.Millisecond }

// untilItEnds stays until the server has gone, or says nothing for a while.
func untilItEnds(v *visit, ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.patience.idle)
	defer cancel()
	if c, err := v.dial(ctx); err == nil {
		defer c.Close()
		for ; err == nil && ctx.Err() == nil; err = v.ask(ctx, c, echo) {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func closeUnderAccept(s *scene) error {
	ended, err := s.accepting(usual)
	if err != nil {
		return err
	}
	time.AfterFunc(soon(s.rng), func() { s.socket.Close() })
	err = s.visitors(untilItEnds)
	<-ended
	return err
}

func closeUnderServe(s *scene) error {
	if err := s.open(usual); err != nil {
		return err
	}
	time.AfterFunc(soon(s.rng), func() { s.socket.Close() })
	ended := make(chan error, 1)
	go func() { ended <- s.listener.Serve(s.echo) }()
	err := s.visitors(untilItEnds)
	<-ended
	return err
}

func (s *scene) echo(c *dtls.Conn, data []byte) {
	if data != nil {
		c.Write(data)
	}
}

func refuseToSend(s *scene) error {
	if _, err := s.accepting(usual); err != nil {
		return err
	}
	s.socket.sends.Store(5)
	return s.visitors(askOnce)
}

func failToRead(s *scene) error {
	if _, err := s.accepting(usual); err != nil {
		return err
	}
	s.socket.reads.Store(7)
	return s.visitors(askOnce)
}

// askOnce has to be served.
func askOnce(v *visit, ctx context.Context) error {
	c, err := v.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return v.ask(ctx, c, echo)
}

// --- Ends in the middle

func closeAccept(s *scene) error {
	ended, err := s.accepting(usual)
	if err != nil {
		return err
	}
	time.AfterFunc(soon(s.rng), func() { s.listener.Close() })
	err = s.visitors(untilItEnds)
	<-ended
	return err
}

func closeServe(s *scene) error {
	if err := s.open(usual); err != nil {
		return err
	}
	time.AfterFunc(soon(s.rng), func() { s.listener.Close() })
	ended := make(chan error, 1)
	go func() { ended <- s.listener.Serve(s.echo) }()
	err := s.visitors(untilItEnds)
	if why := <-ended; why != net.ErrClosed {
		return errors.Join(err, fmt.Errorf("returned by Serve: %v", why))
	}
	return err
}

func endContexts(s *scene) error {
	if _, err := s.accepting(usual); err != nil {
		return err
	}
	return s.visitors(func(v *visit, ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, soon(v.rng), errEnough)
		defer cancel()
		c, _, err := v.connect(ctx, weather{})
		if err == nil {
			return c.Close()
		}
		if err != errEnough {
			return fmt.Errorf("a handshake was given up: %w", err)
		}
		return nil
	})
}

var errEnough = errors.New("enough")

func closeLinks(s *scene) error {
	if _, err := s.accepting(usual); err != nil {
		return err
	}
	return s.visitors(func(v *visit, ctx context.Context) error {
		l, err := newLink(v.to.address, weather{}, v.rng)
		if err != nil {
			return err
		}
		c, err := dtls.Client(l, v.config)
		if err != nil {
			return err
		}
		defer c.Close()
		time.AfterFunc(soon(v.rng), func() { l.Close() })
		for err = v.shake(ctx, c); err == nil; err = v.ask(ctx, c, echo) {
		}
		if ctx.Err() != nil {
			return fmt.Errorf("a client without a link goes on: %w", err)
		}
		return nil
	})
}

// --- The application's faults

// panicInCallbacks lets a callback panic, on the goroutine that serves the client, which
// recovers.
func panicInCallbacks(s *scene) error {
	panics := errors.New("a callback")
	if err := s.open(func(c *dtls.Config) {
		c.VerifyConnection = func(dtls.ConnectionState) error { panic(panics) }
	}); err != nil {
		return err
	}
	s.site.atWork.Go(func() {
		for c, err := s.listener.AcceptConn(); err == nil; c, err = s.listener.AcceptConn() {
			s.site.atWork.Go(func() {
				defer c.Close()
				defer func() {
					if r := recover(); r != nil && r != panics {
						panic(r)
					}
				}()
				c.Handshake()
			})
		}
	})
	return s.visitors(func(v *visit, ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, v.patience.idle)
		defer cancel()
		if c, err := v.dial(ctx); err == nil {
			defer c.Close()
			if v.ask(ctx, c, echo) == nil {
				return errors.New("a server has served whom it did not verify")
			}
		}
		return nil
	})
}

// failInStore has clients who are served in the end: the Store is asked again. What Close
// couldn't delete stays there.
func failInStore(s *scene) error {
	_, err := s.accepting(func(c *dtls.Config) {
		c.Store, c.StoreKey, c.StoreBlock = &failingStore{memoryStore: s.site.store, calls: map[string]int{}}, s.site.storeKey, storeBlock
		c.InsecureImportWithoutStore = false
	})
	if err != nil {
		return err
	}
	return s.visitors(askOnce)
}

// A failingStore fails every third time, by turns before and after it has done what it
// should. No name is out of luck twice in a row.
type failingStore struct {
	*memoryStore
	mu    sync.Mutex
	calls map[string]int
}

var errOutOfOrder = errors.New("out of order")

func (f *failingStore) Swap(ctx context.Context, name string, old uint64, value []byte) (uint64, error) {
	call := f.count(name)
	if call%6 == 2 {
		return 0, errOutOfOrder
	}
	generation, err := f.memoryStore.Swap(ctx, name, old, value)
	if call%6 == 5 {
		return 0, errOutOfOrder
	}
	return generation, err
}

func (f *failingStore) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[name]++
	return f.calls[name]
}

// --- Streams

func closeStreams(s *scene) error {
	if err := s.site.openSecure(); err != nil {
		return err
	}
	return s.visitors(func(v *visit, ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, v.patience.idle)
		defer cancel()
		link, err := (&net.Dialer{}).DialContext(ctx, "tcp4", v.secure.Addr().String())
		if err != nil {
			return err
		}
		c, err := tls.Client(link, v.config)
		if err != nil {
			return err
		}
		defer c.Close()
		time.AfterFunc(soon(v.rng), func() { link.Close() })
		for err = v.shake(ctx, c); err == nil; err = v.askStream(ctx, c) {
		}
		return nil
	})
}
