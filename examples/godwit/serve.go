package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// serve runs a server until it is interrupted, or -once ends it.
func serve(ctx context.Context, o *options, con *console) error {
	if err := o.prepare(handshake.Server, con); err != nil {
		return err
	}
	defer o.close()
	listener, err := o.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()

	var conversations sync.WaitGroup
	var failed atomic.Bool
	begin := func(c conn) {
		conversations.Go(func() {
			if err := answer(ctx, c, o, con); err != nil && ctx.Err() == nil {
				failed.Store(true)
				con.err.complain(err)
			}
		})
	}
	kept, err := o.goOnServing(listener)
	if err != nil {
		return err
	}
	con.err.line("listening on %v", listener.Addr()) // not before: the peers of those may speak at once
	for _, c := range kept {
		begin(c)
	}
	for n := len(kept); o.once == 0 || n < o.once; n++ {
		c, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		begin(c.(conn))
	}
	conversations.Wait()
	if err := o.state.save(); err != nil {
		return err
	}
	if failed.Load() {
		return errReported
	}
	return nil
}

// answer holds one conversation, until the peer says goodbye or the program is
// interrupted.
func answer(ctx context.Context, c conn, o *options, con *console) error {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { o.leave(c) })()
	limited, cancel := o.handshakeContext(ctx)
	defer cancel()
	if err := c.HandshakeContext(limited); err != nil {
		return err
	}
	v, err := converse(c, o, handshake.Server)
	defer v.end(con)
	if err != nil {
		return err
	}
	return echo(v, o.reply)
}

// echo answers each record with itself, or with reply, until the peer says
// goodbye or the connection is closed.
func echo(c net.Conn, reply *string) error {
	record := make([]byte, 1<<14)
	for {
		n, err := c.Read(record)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, dtls.ErrExported) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := record[:n]
		if reply != nil {
			answer = []byte(*reply)
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}
