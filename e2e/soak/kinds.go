package main

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A kind is what an honest client comes for.
type kind struct {
	name   string
	weight int
	pay    func(v *visit, ctx context.Context) error
}

// kinds are those over datagrams; streams have their own. A client of each comes as
// often as its weight says.
var kinds = slices.Concat([]kind{
	{"full handshake", 20, payFull},
	{"client certificate", 8, payWithCertificate},
	{"external key", 8, payWithKey},
	{"resumption", 12, payAgain},
	{"0-RTT", 8, payEarly},
	{"lost, doubled and swapped datagrams", 8, payInStorm},
	{"KeyUpdates", 6, payAndUpdate},
	{"new address, checked", 4, payAndMove},
	{"new address, not checked", 4, payAndMoveUnchecked},
	{"new connection IDs and address", 4, payAndRotate},
	{"batches", 4, payInBatches},
	{"export and import, client", 4, payAndExport},
	{"export and import, server", 4, payAndMigrate},
	{"found in the Store", 4, payAndAreRecovered},
	{"restart from the same address", 4, payAndRestart},
	{"vanishes", 8, payAndVanish},
}, streamKinds)

func payFull(v *visit, ctx context.Context) error {
	if v.rng.IntN(2) == 0 {
		c, err := v.dial(ctx)
		return v.talk(ctx, c, err)
	}
	v.withIDs()
	c, _, err := v.connect(ctx, weather{})
	return v.talk(ctx, c, err)
}

// talk is what most come for: a few echoes. It closes the Conn.
func (v *visit) talk(ctx context.Context, c *dtls.Conn, err error) error {
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + v.rng.IntN(3) {
		if err := v.ask(ctx, c, echo); err != nil {
			return err
		}
	}
	return nil
}

func payWithCertificate(v *visit, ctx context.Context) error {
	v.config.Certificates = []stdtls.Certificate{v.client}
	c, err := v.dial(ctx)
	return v.talk(ctx, c, err)
}

func payWithKey(v *visit, ctx context.Context) error {
	v.config.Credentials = []dtls.Credential{{PSK: v.pskOf(v.version)}}
	c, _, err := v.connect(ctx, weather{})
	if err == nil && len(c.ConnectionState().PSKIdentity) == 0 {
		c.Close()
		return errors.New("connected without the external key")
	}
	return v.talk(ctx, c, err)
}

func payAgain(v *visit, ctx context.Context) error {
	v.remembering()
	for range 2 + v.rng.IntN(2) {
		c, err := v.dial(ctx)
		if err := v.talk(ctx, c, err); err != nil {
			return err
		}
		if c.ConnectionState().DidResume {
			v.tally.resumed.Add(1)
		}
	}
	return nil
}

func payEarly(v *visit, ctx context.Context) error {
	v.version = dtls.VersionDTLS13
	v.config = v.forClient(v.version, false)
	v.remembering()
	v.config.EarlyData = true
	c, err := v.dial(ctx)
	if err := v.talk(ctx, c, err); err != nil {
		return err
	}
	l, err := newLink(v.to.address, weather{}, v.rng)
	if err != nil {
		return err
	}
	if c, err = dtls.Client(l, v.config); err != nil {
		l.Close()
		return err
	}
	defer c.Close()
	if _, err := c.WriteEarly(v.question(echo)); err != nil && !errors.Is(err, dtls.ErrNoEarlyData) {
		return fmt.Errorf("writing early: %w", err)
	}
	if err := v.shake(ctx, c); err != nil {
		return err
	}
	if c.ConnectionState().EarlyDataAccepted {
		v.tally.early.Add(1)
	}
	c.ForgetEarlyData() // refused or lost: it is asked again
	return v.ask(ctx, c, echo)
}

func payInStorm(v *visit, ctx context.Context) error {
	if v.rng.IntN(2) == 0 {
		v.withIDs()
	}
	c, _, err := v.connect(ctx, storm)
	return v.talk(ctx, c, err)
}

func payAndUpdate(v *visit, ctx context.Context) error {
	v.version = dtls.VersionDTLS13
	v.config = v.forClient(v.version, false)
	c, _, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 3 {
		request := dtls.UpdateNotRequested
		if v.rng.IntN(2) == 0 {
			request = dtls.UpdateRequested
		}
		if err := c.KeyUpdate(request); err != nil {
			return fmt.Errorf("updating keys: %w", err)
		}
		if err := v.ask(ctx, c, update); err != nil {
			return err
		}
	}
	return nil
}

func payAndMove(v *visit, ctx context.Context) error {
	v.withIDs()
	if v.rng.IntN(2) == 0 {
		v.config.PathCheck = dtls.BasicPathCheck
	}
	return v.move(ctx, func(*dtls.Conn) error { return nil })
}

func payAndMoveUnchecked(v *visit, ctx context.Context) error {
	v.withIDs()
	v.config.PathCheck = dtls.NoPathCheck
	return v.move(ctx, func(*dtls.Conn) error { return nil })
}

func payAndRotate(v *visit, ctx context.Context) error {
	v.version = dtls.VersionDTLS13
	v.config = v.forClient(v.version, false)
	v.withIDs()
	return v.move(ctx, func(c *dtls.Conn) error {
		if err := c.RotateConnectionIDs(); err != nil {
			return fmt.Errorf("changing connection IDs: %w", err)
		}
		return v.ask(ctx, c, rotate)
	})
}

// move changes the client's port twice, each time after something else.
func (v *visit) move(ctx context.Context, before func(c *dtls.Conn) error) error {
	c, l, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 2 {
		if err := v.ask(ctx, c, echo); err != nil {
			return err
		}
		if err := before(c); err != nil {
			return err
		}
		if err := l.move(); err != nil {
			return err
		}
	}
	return v.ask(ctx, c, echo)
}

// payInBatches sends a few datagrams at once, and one by one what of them got lost.
func payInBatches(v *visit, ctx context.Context) error {
	c, err := v.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var batch [][]byte
	for range 16 {
		batch = append(batch, v.question(echo))
	}
	if _, err := c.WriteBatch(batch); err != nil {
		return fmt.Errorf("writing a batch: %w", err)
	}
	return v.ask(ctx, c, echo)
}

func payAndExport(v *visit, ctx context.Context) error {
	v.withIDs()
	v.config.InsecureImportWithoutStore = true
	c, _, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	for range 2 {
		if err := v.ask(ctx, c, echo); err != nil {
			return err
		}
		heir, err := v.exported(c)
		if err != nil {
			return err
		}
		c.Close()
		c = heir
	}
	return v.ask(ctx, c, echo)
}

// exported goes on with a connection over another socket.
func (v *visit) exported(c *dtls.Conn) (*dtls.Conn, error) {
	key := newKey()
	blob, err := c.Export(key)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	l, err := newLink(v.to.address, weather{}, v.rng)
	if err != nil {
		return nil, err
	}
	heir, err := dtls.Import(l, v.config, blob, key)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("import: %w", err)
	}
	return heir, nil
}

func payAndMigrate(v *visit, ctx context.Context) error {
	v.withIDs()
	c, _, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, o := range []order{echo, migrate, echo, migrate, echo} {
		if err := v.ask(ctx, c, o); err != nil {
			return fmt.Errorf("%c: %w", o, err)
		}
	}
	return nil
}

// payAndAreRecovered goes to the other server with the Store, which finds the connection
// there, as if the first one were no more.
func payAndAreRecovered(v *visit, ctx context.Context) error {
	first := v.rng.IntN(len(v.storing))
	v.to = v.storing[first]
	v.withIDs()
	c, l, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := v.ask(ctx, c, store); err != nil {
		return err
	}
	if err := v.switchTo(v.storing[1-first], c, l); err != nil {
		return err
	}
	if err := v.ask(ctx, c, echo); err != nil {
		return err
	}
	return v.ask(ctx, c, echo)
}

// switchTo goes on at another server with the Store. The first records there are lost: the
// server before may have received their numbers.
func (v *visit) switchTo(to *server, c *dtls.Conn, l *link) error {
	v.to = to
	if err := l.divert(to.address); err != nil {
		return err
	}
	for range storeBlock {
		if _, err := c.Write(v.question(echo)); err != nil {
			return err
		}
	}
	return nil
}

// payAndRestart begins a second time from the address of the first, without a goodbye.
func payAndRestart(v *visit, ctx context.Context) error {
	c, l, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	if err := v.ask(ctx, c, echo); err != nil {
		c.Close()
		return err
	}
	from := l.LocalAddr().(*net.UDPAddr)
	l.fallSilent()
	c.Close()
	socket, err := net.DialUDP("udp4", from, v.to.address)
	if err != nil { // somebody else has got the port
		return nil
	}
	again, err := dtls.Client(socket, v.config)
	if err != nil {
		socket.Close()
		return err
	}
	return v.talk(ctx, again, v.shake(ctx, again))
}

// payAndVanish leaves without a word, at times in the middle of an exchange.
func payAndVanish(v *visit, ctx context.Context) error {
	if v.rng.IntN(2) == 0 {
		v.withIDs()
	}
	c, l, err := v.connect(ctx, weather{})
	if err != nil {
		return err
	}
	defer c.Close()
	defer l.fallSilent()
	if err := v.ask(ctx, c, echo); err != nil {
		return err
	}
	if v.rng.IntN(2) == 0 {
		time.Sleep(time.Duration(v.rng.IntN(20)) * time.Millisecond)
		c.Write(v.question(echo))
	}
	return nil
}
