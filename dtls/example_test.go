package dtls_test

import (
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
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
