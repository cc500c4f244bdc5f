package tls_test

import (
	cryptotls "crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/tls"
)

// selfSigned returns a certificate for a name, and the pool that trusts it.
func selfSigned(name string) (cryptotls.Certificate, *x509.CertPool) {
	certificate, err := cert.SelfSigned(time.Now(), name)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return certificate, roots
}

// echo answers one client with what it says.
func echo(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.Copy(conn, conn); err != nil {
		log.Fatal(err)
	}
}

func ExampleDial() {
	certificate, roots := selfSigned("127.0.0.1")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []cryptotls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go echo(listener)

	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	if err := conn.CloseWrite(); err != nil {
		log.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	fmt.Printf("%s %v\n", answer, err)
	// Output: hello <nil>
}

// The second connection resumes the first, and its question goes with the first
// message. This server reads as ever: it gets what came early once the client's
// Finished has shown that nobody sent it again. ReadEarly wouldn't wait.
func ExampleConn_WriteEarly() {
	certificate, roots := selfSigned("server.example")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []cryptotls.Certificate{certificate}, EarlyData: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	config := &tls.Config{
		RootCAs: roots, ServerName: "server.example",
		ClientSessionCache: tls.NewLRUClientSessionCache(0), EarlyData: true,
	}
	for range 2 {
		go echo(listener)
		fmt.Println(ask(listener.Addr().String(), config, "question"))
	}
	// Output:
	// question no_session_offered
	// question accept
}

// ask sends a question as early as it can, and returns what comes back.
func ask(address string, config *tls.Config, question string) (string, tls.EarlyDataReason) {
	link, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := tls.Client(link, config) // Dial would run the handshake
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, len(question))
	for {
		n, err := conn.WriteEarly([]byte(question))
		if err == tls.ErrNoEarlyData {
			_, err = conn.Write([]byte(question[n:]))
		}
		if err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if err == tls.ErrEarlyDataRejected {
			conn.ForgetEarlyData() // and ask again
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		return string(answer), conn.ConnectionState().EarlyDataReason
	}
}

func ExampleListen() {
	certificate, roots := selfSigned("127.0.0.1")
	_, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{})
	fmt.Println(err)

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []cryptotls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(conn, "good morning")
		conn.Close()
	}()

	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn) // runs the handshake
	fmt.Printf("%s %v\n", text, err)
	<-done
	// Output:
	// Config.Certificates: a server needs one, or Credentials, GetCertificate, GetPSK or GetConfigForClient
	// good morning <nil>
}

// Two Engines in one loop: no link, no goroutine, no clock.
func ExampleEngine() {
	certificate, roots := selfSigned("engine.example")
	client, err := tls.NewClientEngine(&tls.Config{RootCAs: roots, ServerName: "engine.example"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := tls.NewServerEngine(&tls.Config{Certificates: []cryptotls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}

	now := time.Now()
	carry := func(from, to *tls.Engine) {
		buf := make([]byte, 1024)
		for n := from.Transmit(buf); n > 0; n = from.Transmit(buf) {
			if err := to.Receive(buf[:n], now); err != nil {
				log.Fatal(err)
			}
			for work := to.Work(); work != nil; work = to.Work() {
				work() // signatures and verifications: here, or anywhere else
				if err := to.Resume(now); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	client.Start(now)
	for client.Pending() || server.Pending() {
		carry(client, server)
		carry(server, client)
	}
	fmt.Println(client.Open(), server.Open())

	client.Write([]byte("hello"), now)
	carry(client, server)
	buf := make([]byte, 100)
	n, ok := server.Read(buf)
	fmt.Printf("%s %v\n", buf[:n], ok)
	// Output:
	// true true
	// hello true
}
