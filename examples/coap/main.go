// Coap is a CoAP server and client (RFC 7252) over godwit, with go-coap above it
// (github.com/plgd-dev/go-coap). Both sides know each other by a pre-shared key:
//
//	coap demo                          a server and a client in one process
//	coap [-psk ID:HEX] serve ADDR      a server of /light, which clients switch
//	coap [-psk ID:HEX] get URL         what a resource is
//	coap [-psk ID:HEX] put URL TEXT    change it
//	coap [-psk ID:HEX] observe URL     what it is, and each change (RFC 7641)
//
// The key is used in DTLS 1.3 and, for devices that have no more, in 1.2, so that
// other tools can switch the light too, such as libcoap's:
//
//	coap -psk nest:$(printf 'sixteen letters.' | xxd -p) serve 127.0.0.1:5684
//	coap-client-openssl -u nest -k 'sixteen letters.' coaps://127.0.0.1/light
//
// go-coap comes with a DTLS of its own, but asks for no more than a net.Conn and
// a way to accept one: transport.go has all that is between the two.
package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"github.com/godwit-dtls/godwit/dtls"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "coap:", err)
		os.Exit(1)
	}
}

// commands are by name, with the number of their arguments.
var commands = map[string]struct {
	arguments int
	run       func(ctx context.Context, config *dtls.Config, arguments []string, out io.Writer) error
}{
	"demo":    {0, demo},
	"serve":   {1, serveAddress},
	"get":     {1, request(get).run},
	"put":     {2, request(put).run},
	"observe": {1, request(observe).run},
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	config := new(dtls.Config)
	flags := flag.NewFlagSet("coap", flag.ContinueOnError)
	flags.Func("psk", "`ID:HEX`, a key that both sides know; servers may have several", func(value string) error {
		return addKey(config, value)
	})
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	command, known := commands[flags.Arg(0)]
	if !known || flags.NArg() != 1+command.arguments {
		return errors.New("expected demo, serve ADDR, get URL, put URL TEXT or observe URL, after -psk ID:HEX")
	}
	return command.run(ctx, config, flags.Args()[1:], out)
}

// addKey adds an identity and its key. Warning: a key is at least 16 random
// bytes; a password would be found by trying (RFC 9257 6).
func addKey(config *dtls.Config, value string) error {
	i := strings.LastIndexByte(value, ':')
	key, err := hex.DecodeString(value[i+1:])
	if i < 0 || err != nil {
		return errors.New("expected an identity, a colon and the key in hex")
	}
	psk := &dtls.ExternalPSK{
		Identity: []byte(value[:i]),
		Key:      key,
		Use:      dtls.PSKDirect, // devices have 1.2 and no importer
	}
	config.Credentials = append(config.Credentials, dtls.Credential{PSK: psk})
	return nil
}

func serveAddress(ctx context.Context, config *dtls.Config, arguments []string, out io.Writer) error {
	l, err := listen(arguments[0], config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "coaps://%v/light\n", l.Addr())
	return serve(ctx, l, routes(), out)
}

// A request is a command that talks with the resource of a URL. More are the
// arguments after the URL.
type request func(ctx context.Context, conn *Conn, path string, more []string, out io.Writer) error

// run connects to the server, says what was agreed on, and makes the request.
func (r request) run(ctx context.Context, config *dtls.Config, arguments []string, out io.Writer) error {
	address, path, err := split(arguments[0])
	if err != nil {
		return err
	}
	conn, err := dial(ctx, address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(out, "connected:", agreed(conn))
	return r(ctx, conn, path, arguments[1:], out)
}

func get(ctx context.Context, conn *Conn, path string, _ []string, out io.Writer) error {
	response, err := conn.Get(ctx, path)
	if err != nil {
		return err
	}
	return show(out, response)
}

func put(ctx context.Context, conn *Conn, path string, more []string, out io.Writer) error {
	response, err := conn.Put(ctx, path, message.TextPlain, strings.NewReader(more[0]))
	if err != nil {
		return err
	}
	return show(out, response)
}

// observe goes on until it is interrupted, or the server says goodbye.
func observe(ctx context.Context, conn *Conn, path string, _ []string, out io.Writer) error {
	if _, err := conn.Observe(ctx, path, func(change *pool.Message) { show(out, change) }); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-conn.Done():
	}
	return nil
}

// split takes "coaps://host:port/path" apart.
func split(text string) (address, path string, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", "", err
	case u.Scheme != "coaps" || u.Hostname() == "":
		return "", "", fmt.Errorf("expected coaps://HOST/PATH, not %q", text)
	}
	port := cmp.Or(u.Port(), "5684") // RFC 7252 6.2
	return net.JoinHostPort(u.Hostname(), port), u.Path, nil
}

// show prints a response: its code, and what it carries.
func show(out io.Writer, response *pool.Message) error {
	body, err := response.ReadBody()
	if err != nil {
		return err
	}
	code := response.Code()
	_, err = fmt.Fprintf(out, "%d.%02d %v %s\n", code>>5, code&31, code, body) // RFC 7252 3
	return err
}
