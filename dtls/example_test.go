package dtls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// exampleCertificate makes a certificate for localhost and the pool that trusts
// it.
func exampleCertificate() (tls.Certificate, *x509.CertPool) {
	certificate, err := dtls.SelfSigned("localhost")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return certificate, roots
}

// exampleServer echoes the first message of every client.
func exampleServer(certificate tls.Certificate) *dtls.Listener {
	l, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 2000)
				if n, err := c.Read(b); err == nil {
					c.Write(b[:n])
				}
			}()
		}
	}()
	return l
}

func ExampleDial() {
	certificate, roots := exampleCertificate()
	server := exampleServer(certificate)
	defer server.Close()

	conn, err := dtls.Dial("udp", server.Addr().String(), &dtls.Config{
		RootCAs:    roots,
		ServerName: "localhost", // Dial takes it from the address otherwise
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprint(conn, "hello")
	b := make([]byte, 2000)
	n, err := conn.Read(b) // one record
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, by DTLS 1.3: %v\n", b[:n], conn.ConnectionState().Version == dtls.VersionDTLS13)
	// Output: hello, by DTLS 1.3: true
}

func ExampleListen() {
	certificate, roots := exampleCertificate()

	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{
		Certificates: []tls.Certificate{certificate},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept() // a client whose address is validated
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		b := make([]byte, 2000)
		n, err := conn.Read(b) // runs the handshake first
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("received %q\n", b[:n])
	}()

	dialer := &dtls.Dialer{Config: &dtls.Config{RootCAs: roots, ServerName: "localhost"}}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "udp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(conn, "hello")
	<-served
	conn.Close()
	// Output: received "hello"
}

// Any net.Conn that preserves datagrams carries an association, such as that of
// an ICE agent. Here it is a socket.
func ExampleClient() {
	certificate, roots := exampleCertificate()
	server := exampleServer(certificate)
	defer server.Close()

	link, err := net.Dial("udp", server.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	conn, err := dtls.Client(link, &dtls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close() // and link

	if err := conn.Handshake(); err != nil {
		log.Fatal(err)
	}
	state := conn.ConnectionState()
	fmt.Println(tls.CipherSuiteName(state.CipherSuite), state.CurveID)
	// Output: TLS_AES_128_GCM_SHA256 X25519MLKEM768
}

// Two Engines that are driven by hand. A real driver would also call Expire when
// Deadline has come.
func ExampleEngine() {
	certificate, roots := exampleCertificate()
	client, err := dtls.NewClientEngine(&dtls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := dtls.NewServerEngine(&dtls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}

	// deliver runs what waits in from, and hands over all that it has to send.
	buf := make([]byte, 2000)
	deliver := func(from, to *dtls.Engine) {
		for work := from.Work(); work != nil; work = from.Work() {
			work() // a signature, for instance; it may take its time
			if err := from.Resume(time.Now()); err != nil {
				log.Fatal(err)
			}
		}
		for n := from.Transmit(buf); n > 0; n = from.Transmit(buf) {
			if err := to.Receive(buf[:n], time.Now()); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := client.Start(time.Now()); err != nil {
		log.Fatal(err)
	}
	for !client.Open() || !server.Open() {
		deliver(client, server)
		deliver(server, client)
	}

	n, err := client.Write(buf, []byte("hello"), time.Now())
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Receive(buf[:n], time.Now()); err != nil {
		log.Fatal(err)
	}
	message := make([]byte, 100)
	n, ok := server.Read(message)
	fmt.Printf("%s %v\n", message[:n], ok)
	// Output: hello true
}

// A WebRTC stack may carry the handshake in ICE's connectivity checks, before there is a
// path for datagrams. Then it repeats flights with its checks, and leaves that to the
// Engine when the path is there. Here the first check is lost.
func ExampleEngine_Retransmit() {
	certificate, roots := exampleCertificate()
	client, err := dtls.NewClientEngine(&dtls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := dtls.NewServerEngine(&dtls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}

	// flight is what the next checks, or the answers to them, have to carry.
	flight := func(e *dtls.Engine) (datagrams [][]byte) {
		for work := e.Work(); work != nil; work = e.Work() {
			work()
			if err := e.Resume(time.Now()); err != nil {
				log.Fatal(err)
			}
		}
		buf := make([]byte, 1200)
		for n := e.Transmit(buf); n > 0; n = e.Transmit(buf) {
			datagrams = append(datagrams, bytes.Clone(buf[:n]))
		}
		return datagrams
	}
	deliver := func(datagrams [][]byte, to *dtls.Engine) {
		for _, d := range datagrams {
			if err := to.Receive(d, time.Now()); err != nil {
				log.Fatal(err)
			}
		}
	}

	client.StopRetransmitTimer()
	server.StopRetransmitTimer()
	if err := client.Start(time.Now()); err != nil {
		log.Fatal(err)
	}
	flight(client) // its checks don't arrive
	fmt.Println("outstanding:", client.Outstanding(), "timer:", !client.Deadline().IsZero())

	client.Retransmit(time.Now()) // with the next checks
	deliver(flight(client), server)
	deliver(flight(server), client) // with the answers to them

	// The client's checks were answered: from now on there is a path, and ICE knows its
	// round trip.
	const roundTrip = 40 * time.Millisecond
	if err := client.SetInitialTimeout(roundTrip * 3 / 2); err != nil {
		log.Fatal(err)
	}
	client.StartRetransmitTimer(time.Now())
	last := flight(client)
	fmt.Println("open:", client.Open(), "outstanding:", client.Outstanding(), "timer:", !client.Deadline().IsZero())
	deliver(last, server)
	deliver(flight(server), client) // an ACK
	fmt.Println("open:", server.Open(), "outstanding:", client.Outstanding())
	// Output:
	// outstanding: true timer: false
	// open: true outstanding: true timer: true
	// open: true outstanding: false
}

// A server that has neither a goroutine nor a buffer for any of its clients.
func ExampleListener_Serve() {
	certificate, roots := exampleCertificate()
	l, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan error, 1)
	go l.Serve(func(c *dtls.Conn, data []byte) {
		if data == nil {
			_, why := c.Read(nil)
			over <- why
			return
		}
		c.Write(bytes.ToUpper(data))
	})

	c, err := dtls.Dial("udp", l.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		log.Fatal(err)
	}
	c.WriteBatch([][]byte{[]byte("one"), []byte("two")})
	reply := make([]byte, 1500)
	for range 2 {
		n, err := c.Read(reply)
		fmt.Printf("%s %v\n", reply[:n], err)
	}
	c.Close()
	fmt.Println("over:", <-over)
	l.Close()
	// Output:
	// ONE <nil>
	// TWO <nil>
	// over: EOF
}
