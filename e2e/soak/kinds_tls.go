package main

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// streamKinds are what clients of the TLS server come for.
var streamKinds = []kind{
	{"TLS: full handshake", 6, payStream},
	{"TLS: client certificate", 3, payStreamWithCertificate},
	{"TLS: external key", 3, payStreamWithKey},
	{"TLS: resumption", 4, payStreamAgain},
	{"TLS: 0-RTT", 3, payStreamEarly},
	{"TLS: KeyUpdates", 3, payStreamAndUpdate},
	{"TLS: vanishes", 3, payStreamAndVanish},
}

// dialStream connects over TCP.
func (v *visit) dialStream(ctx context.Context) (*tls.Conn, error) {
	c, err := (&tls.Dialer{Config: v.config}).DialContext(ctx, "tcp4", v.secure.Addr().String())
	if err != nil {
		return nil, err
	}
	v.tally.handshakes.Add(1)
	return c.(*tls.Conn), nil
}

// talkStream is talk.
func (v *visit) talkStream(ctx context.Context, c *tls.Conn, err error) error {
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + v.rng.IntN(3) {
		if err := v.askStream(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) askStream(ctx context.Context, c *tls.Conn) error {
	question := v.question(echo)
	end, _ := ctx.Deadline()
	c.SetDeadline(end)
	if _, err := c.Write(question); err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	answer := make([]byte, len(question))
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("waiting for an echo: %w", err)
	}
	if string(answer) != string(question) {
		return errors.New("another echo than was asked for")
	}
	v.tally.echoes.Add(1)
	return nil
}

func payStream(v *visit, ctx context.Context) error {
	c, err := v.dialStream(ctx)
	return v.talkStream(ctx, c, err)
}

func payStreamWithCertificate(v *visit, ctx context.Context) error {
	v.config.Certificates = []stdtls.Certificate{v.client}
	return payStream(v, ctx)
}

func payStreamWithKey(v *visit, ctx context.Context) error {
	v.config.Credentials = []dtls.Credential{{PSK: v.pskOf(v.version)}}
	return payStream(v, ctx)
}

func payStreamAgain(v *visit, ctx context.Context) error {
	v.remembering()
	for range 2 {
		c, err := v.dialStream(ctx)
		if err := v.talkStream(ctx, c, err); err != nil {
			return err
		}
		if c.ConnectionState().DidResume {
			v.tally.resumed.Add(1)
		}
	}
	return nil
}

func payStreamEarly(v *visit, ctx context.Context) error {
	v.config = v.forClient(dtls.VersionDTLS13, false)
	v.remembering()
	v.config.EarlyData = true
	c, err := v.dialStream(ctx)
	if err := v.talkStream(ctx, c, err); err != nil {
		return err
	}
	link, err := (&net.Dialer{}).DialContext(ctx, "tcp4", v.secure.Addr().String())
	if err != nil {
		return err
	}
	if c, err = tls.Client(link, v.config); err != nil {
		link.Close()
		return err
	}
	defer c.Close()
	early := v.question(echo)
	if _, err := c.WriteEarly(early); err != nil && !errors.Is(err, tls.ErrNoEarlyData) {
		return fmt.Errorf("writing early: %w", err)
	}
	if err := v.shake(ctx, c); err != nil {
		return err
	}
	if !c.ConnectionState().EarlyDataAccepted {
		c.ForgetEarlyData()
		return v.askStream(ctx, c)
	}
	v.tally.early.Add(1)
	if _, err := io.ReadFull(c, early); err != nil {
		return fmt.Errorf("waiting for the echo of early data: %w", err)
	}
	return v.askStream(ctx, c)
}

func payStreamAndUpdate(v *visit, ctx context.Context) error {
	v.config = v.forClient(dtls.VersionDTLS13, false)
	c, err := v.dialStream(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 3 {
		if err := c.KeyUpdate(dtls.UpdateRequested); err != nil {
			return fmt.Errorf("updating keys: %w", err)
		}
		if err := v.askStream(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// payStreamAndVanish leaves without close_notify, and with RST.
func payStreamAndVanish(v *visit, ctx context.Context) error {
	c, err := v.dialStream(ctx)
	if err != nil {
		return err
	}
	err = v.askStream(ctx, c)
	link := c.NetConn().(*net.TCPConn)
	if v.rng.IntN(2) == 0 {
		link.SetLinger(0)
	}
	link.Close()
	c.Close()
	c.SetDeadline(time.Time{})
	return err
}
