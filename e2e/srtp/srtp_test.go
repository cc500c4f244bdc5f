// Package srtp_test protects media with the keys that a DTLS association derives
// (RFC 5764), by pion/srtp: what one end sends the other can read, and nobody else.
package srtp_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// An end is one side of an association, with what protects its media.
type end struct {
	name         string
	ours, theirs *srtp.Context // what it sends, and what it receives
}

var profiles = []dtls.SRTPProfile{
	dtls.SRTPAES128CMHMACSHA1_80, dtls.SRTPAES128CMHMACSHA1_32, dtls.SRTPAEADAES128GCM, dtls.SRTPAEADAES256GCM,
}

func TestMedia(t *testing.T) {
	for _, version := range []uint16{dtls.VersionDTLS12, dtls.VersionDTLS13} {
		for _, profile := range profiles {
			for _, identifier := range []string{"", "key 2"} {
				t.Run(fmt.Sprintf("%s/%v/identifier %x", tls.VersionName(version), profile, identifier), func(t *testing.T) {
					configs := configs(t, version)
					for _, c := range configs {
						c.SRTPProfiles, c.SRTPMasterKeyIdentifier = []dtls.SRTPProfile{profile}, []byte(identifier)
					}
					client, server := associate(t, configs, profile, identifier)
					exchange(t, client, server, identifier)
					exchange(t, server, client, identifier)
				})
			}
		}
	}
}

// A server that doesn't have the client's identifier leaves it out, and so do both
// ends' packets.
func TestIdentifierOfOneSide(t *testing.T) {
	for _, version := range []uint16{dtls.VersionDTLS12, dtls.VersionDTLS13} {
		configs := configs(t, version)
		configs[0].SRTPProfiles, configs[0].SRTPMasterKeyIdentifier = profiles, []byte("key 1")
		configs[1].SRTPProfiles, configs[1].SRTPMasterKeyIdentifier = profiles[2:], []byte("key 2")
		client, server := associate(t, configs, profiles[2], "")
		exchange(t, client, server, "")
		exchange(t, server, client, "")
	}
}

// configs are those of a client and a server that know each other's fingerprints.
func configs(t *testing.T, version uint16) (configs [2]*dtls.Config) {
	t.Helper()
	for i := range configs {
		certificate, err := dtls.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		configs[i] = &dtls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: version, MaxVersion: version}
	}
	for i, c := range configs {
		c.PeerFingerprints = []string{dtls.Fingerprint(crypto.SHA256, configs[1-i].Certificates[0].Certificate[0])}
	}
	return configs
}

// associate makes an association between a client and a server, and the media
// contexts of its two ends.
func associate(t *testing.T, configs [2]*dtls.Config, profile dtls.SRTPProfile, identifier string) (client, server *end) {
	t.Helper()
	a, b := link(t)
	c, err := dtls.Client(a, configs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := dtls.Server(b, configs[1])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error)
	go func() { done <- s.Handshake() }()
	if err1, err2 := c.Handshake(), <-done; err1 != nil || err2 != nil {
		t.Fatalf("client: %v; server: %v", err1, err2)
	}
	ends := [2]*end{{name: "client"}, {name: "server"}}
	for i, conn := range []*dtls.Conn{c, s} {
		got := conn.ConnectionState()
		if conn.SRTPProfile() != profile || string(got.SRTPMasterKeyIdentifier) != identifier || got.Version != configs[0].MinVersion {
			t.Fatalf("%s: %v, identifier %q, version %x", ends[i].name, conn.SRTPProfile(), got.SRTPMasterKeyIdentifier, got.Version)
		}
		keys, err := conn.SRTPKeys()
		if err != nil {
			t.Fatal(err)
		}
		ofClient := protect(t, keys.ClientMasterKey, keys.ClientMasterSalt, got)
		ofServer := protect(t, keys.ServerMasterKey, keys.ServerMasterSalt, got)
		if ends[i].ours, ends[i].theirs = ofClient, ofServer; conn == s {
			ends[i].ours, ends[i].theirs = ofServer, ofClient
		}
	}
	return ends[0], ends[1]
}

// protect makes the context of one direction. IANA's numbers of the profiles are
// pion's, too.
func protect(t *testing.T, key, salt []byte, state dtls.ConnectionState) *srtp.Context {
	t.Helper()
	options := []srtp.ContextOption{srtp.SRTPReplayProtection(64), srtp.SRTCPReplayProtection(64)}
	if len(state.SRTPMasterKeyIdentifier) > 0 {
		options = append(options, srtp.MasterKeyIndicator(state.SRTPMasterKeyIdentifier))
	}
	c, err := srtp.CreateContext(key, salt, srtp.ProtectionProfile(state.SRTPProfile), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends RTP and RTCP one way. Each packet carries the identifier, and can be
// read by who it is for, and not by who takes it for one of the other direction.
func exchange(t *testing.T, from, to *end, identifier string) {
	t.Helper()
	media := []byte("media of the " + from.name)
	packet := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SSRC: 4711, SequenceNumber: 1}, Payload: media}
	plain, err := packet.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: 4711, MediaSSRC: 42}})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct {
		name             string
		plain            []byte
		is               dtls.PacketKind
		protect, recover func(*srtp.Context, []byte) ([]byte, error)
	}{
		{"RTP", plain, dtls.RTPPacket,
			func(c *srtp.Context, b []byte) ([]byte, error) { return c.EncryptRTP(nil, b, nil) },
			func(c *srtp.Context, b []byte) ([]byte, error) { return c.DecryptRTP(nil, b, nil) }},
		{"RTCP", report, dtls.RTCPPacket,
			func(c *srtp.Context, b []byte) ([]byte, error) { return c.EncryptRTCP(nil, b, nil) },
			func(c *srtp.Context, b []byte) ([]byte, error) { return c.DecryptRTCP(nil, b, nil) }},
	} {
		protected, err := kind.protect(from.ours, kind.plain)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(protected, kind.plain[12:]) && kind.name == "RTP" || !bytes.Contains(protected, []byte(identifier)) {
			t.Errorf("%s: % x", kind.name, protected)
		}
		if got := dtls.Classify(protected); got != kind.is {
			t.Errorf("%s is taken for %v", kind.name, got)
		}
		if wrong, err := kind.recover(to.ours, protected); err == nil {
			t.Errorf("%s of the %s is read as if the %s had sent it: % x", kind.name, from.name, to.name, wrong)
		}
		got, err := kind.recover(to.theirs, protected)
		if err != nil || !bytes.Equal(got, kind.plain) {
			t.Errorf("%s: % x, %v, expected % x", kind.name, got, err, kind.plain)
		}
	}
}

// link returns two sockets that are connected to each other.
func link(t *testing.T) (a, b net.Conn) {
	t.Helper()
	var sockets [2]net.PacketConn
	for i := range sockets {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { socket.Close() })
		sockets[i] = socket
	}
	return dtls.FromPacketConn(sockets[0], sockets[1].LocalAddr()), dtls.FromPacketConn(sockets[1], sockets[0].LocalAddr())
}
