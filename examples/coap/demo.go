package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"github.com/godwit-dtls/godwit/dtls"
)

// demo runs a server, and a client that observes the light, switches it on, and
// looks.
func demo(ctx context.Context, config *dtls.Config, _ []string, out io.Writer) error {
	if len(config.Credentials) == 0 {
		key := make([]byte, 16)
		rand.Read(key)
		addKey(config, "demo:"+hex.EncodeToString(key))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	l, err := listen("127.0.0.1:0", config)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(serving, l, routes(), io.Discard) }()
	err = converse(ctx, l.Addr().String(), config, out)
	stop()
	if err != nil {
		return err
	}
	return <-served
}

func converse(ctx context.Context, address string, config *dtls.Config, out io.Writer) error {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(out, "connected:", agreed(conn))

	changes := make(chan string, 10)
	_, err = conn.Observe(ctx, "/light", func(change *pool.Message) {
		var text strings.Builder
		show(&text, change)
		changes <- text.String()
	})
	if err != nil {
		return err
	}
	fmt.Fprint(out, "observe /light: ", <-changes)

	response, err := conn.Put(ctx, "/light", message.TextPlain, strings.NewReader("on"))
	if err != nil {
		return err
	}
	fmt.Fprint(out, "PUT /light on: ")
	show(out, response)
	select {
	case change := <-changes:
		fmt.Fprint(out, "observed: ", change)
	case <-ctx.Done():
		return ctx.Err()
	}

	response, err = conn.Get(ctx, "/.well-known/core")
	if err != nil {
		return err
	}
	fmt.Fprint(out, "GET /.well-known/core: ")
	return show(out, response)
}
