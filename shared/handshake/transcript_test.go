package handshake

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// The messages of the vectors: two bodies, numbered as over datagrams.
var (
	vectorHello  = Message{Content: protocol.Handshake, Type: protocol.ClientHello, Seq: 1, Body: []byte("client hello")}
	vectorAnswer = Message{Content: protocol.Handshake, Type: protocol.ServerHello, Seq: 258, Body: bytes.Repeat([]byte{0xab}, 300)}
)

// TestTranscriptForms: what is hashed of a message, header included.
//
// RFC 6347 4.2.6 [1]
func TestTranscriptForms(t *testing.T) {
	short := "0100000c" + hex.EncodeToString(vectorHello.Body) + "0200012c" + hex.EncodeToString(vectorAnswer.Body)
	// RFC 6347 4.2.6: type, length, message_seq, fragment_offset 0, fragment_length.
	long := "0100000c000100000000000c" + hex.EncodeToString(vectorHello.Body) +
		"0200012c010200000000012c" + hex.EncodeToString(vectorAnswer.Body)
	for v, want := range map[protocol.Version]string{
		protocol.VersionTLS12: short, protocol.VersionTLS13: short,
		protocol.VersionDTLS12: long, protocol.VersionDTLS13: short, // RFC 9147 5.2
	} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
			raw, err := hex.DecodeString(want)
			if err != nil {
				t.Fatal(err)
			}
			for split := range 3 { // how many messages come before the hash is known
				s := transcript{keepRaw: true}
				for i, m := range []Message{vectorHello, vectorAnswer} {
					if i == split {
						s.begin(h, v)
					}
					s.add(m)
				}
				if split == 2 {
					s.begin(h, v)
				}
				if got := s.sum(); !bytes.Equal(got, sum(h, raw)) {
					t.Errorf("%v, %v: hash %x", v, h, got)
				}
				if !bytes.Equal(s.signed(), raw) {
					t.Errorf("%v: raw %x", v, s.signed())
				}
			}
		}
	}
}

// TestTranscriptVectors were computed by Python's hashlib.
func TestTranscriptVectors(t *testing.T) {
	for _, c := range []struct {
		version protocol.Version
		hash    crypto.Hash
		retry   bool
		want    string
	}{
		{protocol.VersionTLS13, crypto.SHA256, false, "dc823db113bea0fbb54059d9237d7f0adc66f0906c6c6205f2b7dc5ed517fb22"},
		{protocol.VersionDTLS13, crypto.SHA384, false, "b802b56c1567128eaad594b338f3ecf419b80d4ef15bc7be20f980db6673d46f00201bbc0a1f51a807ef5b338054c0c6"},
		{protocol.VersionDTLS12, crypto.SHA256, false, "d225679a286c000c1c66f5acb831084a06466571e7059cef57a6d3308137c9a0"},
		{protocol.VersionTLS13, crypto.SHA256, true, "3eb3c1e9f4459348d94a9cc9f60abe5f9e5391d6ffb760b6e3d3acf545926ef5"},
		{protocol.VersionDTLS13, crypto.SHA384, true, "be1e59509eab11d51f5feb256fda8624192c0dc008259fc850426ae64a4e99f52a0c742d91688107e8622cf723b5691e"},
	} {
		var s transcript
		s.add(vectorHello)
		s.begin(c.hash, c.version)
		if c.retry {
			s.retry(s.sum())
		}
		s.add(vectorAnswer)
		if got := hex.EncodeToString(s.sum()); got != c.want {
			t.Errorf("%v, %v, retry %v: %s", c.version, c.hash, c.retry, got)
		}
	}
}

// TestTranscriptRestart: a HelloVerifyRequest takes the hello out again.
//
// RFC 6347 4.2.6 [2]
func TestTranscriptRestart(t *testing.T) {
	var s transcript
	s.add(Message{Type: protocol.ClientHello, Body: []byte("forgotten")})
	s.restart()
	s.add(vectorHello)
	s.begin(crypto.SHA256, protocol.VersionDTLS12)
	want, _ := hex.DecodeString("0100000c000100000000000c")
	if got := s.sum(); !bytes.Equal(got, sum(crypto.SHA256, want, vectorHello.Body)) {
		t.Errorf("hash %x", got)
	}
}

// TestTranscriptOfRetry compares a whole handshake's with one made from what
// went over the wire (RFC 9846 4.1).
func TestTranscriptOfRetry(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13)
		retrying(client, server)
		client.CipherSuites = []uint16{suite.TLS_AES_256_GCM_SHA384}
		p := begin(t, transport, client, server)
		for len(p.client.sent) < 2 {
			p.next(p.server)
			p.next(p.client)
		}
		p.next(p.server)
		p.client.inbox = p.client.inbox[:1]
		p.next(p.client)
		first := sum(crypto.SHA384, header4(p.client.sent[0]), p.client.sent[0].Body)
		want := sum(crypto.SHA384, []byte{254, 0, 0, 48}, first,
			header4(p.server.sent[0]), p.server.sent[0].Body,
			header4(p.client.sent[1]), p.client.sent[1].Body,
			header4(p.server.sent[1]), p.server.sent[1].Body)
		if got := p.client.m.transcript.sum(); !bytes.Equal(got, want) {
			t.Errorf("hash %x, want %x", got, want)
		}
	})
}
