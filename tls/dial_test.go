package tls

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/pion/transport/v3"
)

// A hostNet is the operating system's network, as far as TLS asks for it.
type hostNet struct{ transport.Net }

func (hostNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	return net.ResolveTCPAddr(network, address)
}

func (hostNet) ListenTCP(network string, local *net.TCPAddr) (transport.TCPListener, error) {
	l, err := net.ListenTCP(network, local)
	return hostListener{l}, err
}

func (hostNet) CreateDialer(d *net.Dialer) transport.Dialer { return d }

type hostListener struct{ *net.TCPListener }

func (l hostListener) AcceptTCP() (transport.TCPConn, error) { return l.TCPListener.AcceptTCP() }

func TestDialAndListen(t *testing.T) {
	checkLeaks(t)
	for _, name := range []string{"net", "Config.Net"} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(0)
			if name == "Config.Net" {
				client.Net, server.Net = hostNet{}, hostNet{}
			}
			l, err := Listen("tcp", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			served := make(chan error, 1)
			go func() {
				for range 2 {
					conn, err := l.Accept()
					if err == nil {
						io.Copy(conn, conn)
						err = conn.Close()
					}
					served <- err
				}
			}()
			echo := func(c net.Conn, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				c.Write([]byte("x"))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				c.Close()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}
			c, err := Dial("tcp", l.Addr().String(), client)
			echo(c, err)
			dialer := &Dialer{NetDialer: &net.Dialer{Timeout: time.Minute, Deadline: time.Now().Add(time.Minute)}, Config: client}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			echo(dialer.DialContext(ctx, "tcp", l.Addr().String()))
		})
	}
}

// Dial takes the name to verify from the address, and a Config stays as it is.
func TestDialServerName(t *testing.T) {
	client, server := configs(0)
	client.ServerName = ""
	l, err := Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*Conn).Handshake()
			conn.Close()
		}
		served <- err
	}()
	_, err = (&Dialer{Config: client}).Dial("tcp", l.Addr().String())
	wantAlert(t, "client", err, alert.BadCertificate, false) // no certificate for 127.0.0.1
	wantAlert(t, "server", <-served, alert.BadCertificate, true)
	if client.ServerName != "" {
		t.Error("the Config was modified")
	}
	if _, err := Dial("tcp", "127.0.0.1:0", client); err == nil {
		t.Error("dialed nobody")
	}
	client.Net = hostNet{}
	if _, err := Dial("tcp", "127.0.0.1:0", client); err == nil {
		t.Error("dialed nobody on Config.Net")
	}
	server.Net = client.Net
	for _, address := range []string{"nonsense", "192.0.2.1:0"} {
		if l, err := Listen("tcp", address, server); err == nil {
			l.Close()
			t.Error("listens at", address)
		}
	}
}
