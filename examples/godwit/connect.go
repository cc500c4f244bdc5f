package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// connect runs a client for one connection, and for those that resume its
// session.
func connect(ctx context.Context, o *options, con *console) error {
	if err := o.prepare(handshake.Client, con); err != nil {
		return err
	}
	defer o.close()
	if o.resume > 0 {
		o.config.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
	}
	for n := range 1 + o.resume {
		early := o.early
		if n == 0 && o.send != nil {
			early = nil // there is no session yet
		}
		if err := connectOnce(ctx, o, early, con); err != nil || ctx.Err() != nil {
			return errors.Join(err, o.state.save())
		}
	}
	return o.state.save()
}

// connectOnce holds one conversation, which early begins if there is one.
func connectOnce(ctx context.Context, o *options, early *string, con *console) error {
	limited, cancel := o.handshakeContext(ctx)
	c, taken, err := o.dial(limited, early)
	cancel()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { o.leave(c) })()
	v, err := converse(c, o, handshake.Client)
	defer v.end(con)
	switch {
	case err != nil:
	case early != nil:
		v.out.Add(uint64(taken))
		err = v.ask((*early)[taken:], con.out)
	case o.send != nil:
		err = v.ask(*o.send, con.out)
	default:
		err = v.exchange(con.in, con.out)
	}
	if ctx.Err() != nil {
		return nil // interrupted, which closes cleanly
	}
	return err
}

// ask sends a text, unless that is done already, and prints what comes back until
// the first reply, the peer's close or the timeout: none of them is a failure.
func (v *conversation) ask(text string, out io.Writer) error {
	sent := v.speak(func() error {
		if text == "" {
			return nil
		}
		_, err := v.Write([]byte(text))
		return err
	})
	reply := make([]byte, 1<<14)
	n, err := v.Read(reply)
	out.Write(reply[:n])
	v.SetWriteDeadline(time.Now().Add(v.options.timeout))
	sending := <-sent // a Close that interrupts a Write can't say goodbye
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return sending
	}
	return err
}

// exchange copies both directions until both have ended. Datagrams have no way
// to say that one direction has ended, so that after the end of in a peer that
// says nothing for the timeout has ended too.
func (v *conversation) exchange(in io.Reader, out io.Writer) error {
	sent := v.speak(func() error { return v.send(in) })
	err := v.receive(out)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return <-sent
	case err != nil:
		return err
	case !protocol.Version(v.ConnectionState().Version).Is13():
		return nil // 1.2's close_notify ends both directions (RFC 5246 7.2.1)
	}
	return <-sent
}

// speak runs send beside the caller, who reads, and then bounds the caller's
// wait for a reply. -key-update comes before it: nothing is sent under the old
// keys.
func (v *conversation) speak(send func() error) <-chan error {
	sent := make(chan error, 1)
	go func() {
		err := v.awaitKeys()
		if err == nil {
			err = send()
		}
		v.sentAll.Store(true)
		v.wait()
		if err != nil {
			v.SetReadDeadline(time.Unix(1, 0)) // the caller's wait is over
		}
		sent <- err
	}()
	return sent
}

// wait bounds the wait for a reply.
func (v *conversation) wait() { v.SetReadDeadline(time.Now().Add(v.options.timeout)) }

// awaitKeys waits until -key-update has taken effect.
func (v *conversation) awaitKeys() error {
	if !v.options.keyUpdate {
		return nil
	}
	select {
	case <-v.options.rekeyed:
		return nil
	case <-time.After(v.options.timeout):
		return fmt.Errorf("the peer did not acknowledge the KeyUpdate within %v", v.options.timeout)
	}
}

// send sends all of in, in records that fit the transport.
func (v *conversation) send(in io.Reader) error {
	record := make([]byte, largestRecord)
	for {
		n, err := in.Read(record[:v.recordSize()])
		if n > 0 {
			if _, err := v.Write(record[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if stream, ok := v.conn.(interface{ CloseWrite() error }); ok {
		return stream.CloseWrite()
	}
	return nil
}

// receive prints what comes until the peer's close. Once everything is sent,
// each wait is one for a reply.
func (v *conversation) receive(out io.Writer) error {
	record := make([]byte, 1<<14)
	for {
		n, err := v.Read(record)
		out.Write(record[:n])
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case v.sentAll.Load():
			v.wait()
		}
	}
}
