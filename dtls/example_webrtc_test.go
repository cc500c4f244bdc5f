package dtls_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"

	"github.com/godwit-dtls/godwit/dtls"
)

// examplePeer is what one peer of WebRTC makes for itself, and the line of its session
// description that tells the other of it.
func examplePeer() (config *dtls.Config, fingerprint string) {
	certificate, err := dtls.SelfSigned()
	if err != nil {
		log.Fatal(err)
	}
	config = &dtls.Config{
		Certificates: []tls.Certificate{certificate},
		SRTPProfiles: []dtls.SRTPProfile{dtls.SRTPAEADAES128GCM, dtls.SRTPAES128CMHMACSHA1_80},
	}
	return config, dtls.Fingerprint(crypto.SHA256, certificate.Certificate[0])
}

// examplePair returns two sockets that are connected to each other.
func examplePair() (a, b net.Conn) {
	var sockets [2]net.PacketConn
	for i := range sockets {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		sockets[i] = socket
	}
	return dtls.FromPacketConn(sockets[0], sockets[1].LocalAddr()), dtls.FromPacketConn(sockets[1], sockets[0].LocalAddr())
}

// Peers that know each other by fingerprints, as in WebRTC, need no names and no
// authorities. Which of them is the server doesn't matter.
func ExampleConfig_fingerprint() {
	config, fingerprint := examplePeer()
	remote, remoteFingerprint := examplePeer()
	config.PeerFingerprints = []string{remoteFingerprint} // of the a=fingerprint lines
	remote.PeerFingerprints = []string{fingerprint}

	a, b := examplePair()
	server, err := dtls.Server(b, remote)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go server.Handshake()
	client, err := dtls.Client(a, config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Handshake(); err != nil {
		log.Fatal(err)
	}
	keys, err := client.SRTPKeys() // for SRTP beside the association
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.SRTPProfile(), len(keys.ClientMasterKey), len(keys.ClientMasterSalt))
	// Output: SRTP_AEAD_AES_128_GCM 16 12
}

// A session description may come after the first datagrams. A callback then waits for
// it; until it returns there is nothing to read, to write or to export.
func ExampleVerifyFingerprint() {
	config, fingerprint := examplePeer()
	remote, _ := examplePeer()
	remote.PeerFingerprints = []string{fingerprint}

	described := make(chan []string, 1) // the fingerprints, once they are known
	config.InsecureSkipVerify = true    // VerifyConnection stands in the place of roots and names
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = func(s dtls.ConnectionState) error {
		return dtls.VerifyFingerprint(s.PeerCertificates[0].Raw, <-described...)
	}

	a, b := examplePair()
	server, err := dtls.Server(b, remote)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go server.Handshake()
	client, err := dtls.Client(a, config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	go func() { described <- []string{fingerprint} }() // not the remote one
	err = client.Handshake()
	var refused *dtls.Error
	fmt.Println(errors.As(err, &refused), refused.Alert)
	_, err = client.SRTPKeys()
	fmt.Println(err != nil)
	// Output:
	// true bad_certificate
	// true
}

// A sharedLink gives a Conn what is DTLS of the datagrams that come, and the rest to
// whom it may concern.
type sharedLink struct {
	net.Conn
	other func(kind dtls.PacketKind, datagram []byte)
}

func (l sharedLink) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil {
			return n, err
		}
		kind := dtls.Classify(p[:n])
		if kind == dtls.DTLSPacket {
			return n, nil
		}
		l.other(kind, p[:n])
	}
}

// Media, STUN and DTLS come in over one socket (RFC 7983): whoever waits in the Conn's
// Read hands on what isn't DTLS.
func ExampleClassify() {
	config, fingerprint := examplePeer()
	remote, remoteFingerprint := examplePeer()
	config.PeerFingerprints, remote.PeerFingerprints = []string{remoteFingerprint}, []string{fingerprint}

	a, b := examplePair()
	server, err := dtls.Server(sharedLink{b, func(kind dtls.PacketKind, datagram []byte) {
		fmt.Printf("%v, %d bytes\n", kind, len(datagram))
	}}, remote)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		message := make([]byte, 100)
		n, err := server.Read(message)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("DTLS, with %q in it\n", message[:n])
	}()

	a.Write([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}) // a binding request begins like this
	client, err := dtls.Client(a, config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Handshake(); err != nil {
		log.Fatal(err)
	}
	a.Write([]byte{128, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}) // media
	a.Write([]byte{129, 200, 0, 6})                        // and a report about it
	fmt.Fprint(client, "hello")
	<-served
	// Output:
	// STUN, 8 bytes
	// RTP, 12 bytes
	// RTCP, 4 bytes
	// DTLS, with "hello" in it
}
