package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A stamp is a compressor that puts its ID before what it gets, and counts.
type stamp struct {
	id                       uint16
	compressed, decompressed int
	fails                    error
}

func (s *stamp) ID() uint16 { return s.id }

func (s *stamp) Compress(message []byte) ([]byte, error) {
	s.compressed++
	return append([]byte{byte(s.id)}, message...), s.fails
}

func (s *stamp) Decompress(compressed []byte, length int) ([]byte, error) {
	s.decompressed++
	message, ok := bytes.CutPrefix(compressed, []byte{byte(s.id)})
	if !ok {
		return nil, errors.New("that is not mine")
	}
	return message, nil
}

func stamps(ids ...uint16) (list []CertificateCompressor) {
	for _, id := range ids {
		list = append(list, &stamp{id: id})
	}
	return list
}

// compressions are the algorithms of the Certificates that a peer sent.
func compressions(t *testing.T, sent []Message) (ids []uint16) {
	for _, m := range sent {
		if m.Type == protocol.CompressedCertificate {
			var in message.CompressedCertificate
			if err := in.Parse(m.Body); err != nil {
				t.Error(err)
			}
			ids = append(ids, in.Algorithm)
		}
	}
	return ids
}

// TestCertificateCompression: both certificates of 1.3, and none of 1.2.
func TestCertificateCompression(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server []CertificateCompressor
		want           []uint16 // of the server's Certificate, and of the client's
	}{
		{"our preference", stamps(9, 8), stamps(8, 9), []uint16{8, 9}},
		{"one in common", stamps(7, 9), stamps(8, 9), []uint16{9, 9}},
		{"none in common", stamps(7), stamps(8), nil},
		{"the client has none", nil, stamps(8), nil},
		{"the server has none", stamps(8), nil, nil},
		{"zlib", []CertificateCompressor{cert.Zlib{}}, []CertificateCompressor{cert.Zlib{}}, []uint16{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				authenticated(client, server)
				client.CertificateCompression, server.CertificateCompression = c.client, c.server
				p := complete(t, transport, client, server)
				want := c.want
				if !v.Is13() {
					want = nil
				}
				got := append(compressions(t, p.server.sent), compressions(t, p.client.sent)...)
				if !slices.Equal(got, want) {
					t.Errorf("compressed by %v, expected %v", got, want)
				}
			})
		})
	}
}

// TestCompressOnce: a step that runs again after a wait does not compress again.
func TestCompressOnce(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	ours, theirs := &stamp{id: 8}, &stamp{id: 8}
	server.CertificateCompression, client.CertificateCompression = []CertificateCompressor{ours}, []CertificateCompressor{theirs}
	p := complete(t, protocol.Stream, client, server)
	if ours.compressed != 1 || theirs.decompressed != 1 {
		t.Errorf("compressed %d times, decompressed %d times", ours.compressed, theirs.decompressed)
	}
	if p.server.works == 0 || p.client.works == 0 {
		t.Error("it was not done outside of the Machine")
	}
}

// TestCompressedRawPublicKey: RFC 8879 4.
func TestCompressedRawPublicKey(t *testing.T) {
	client, server := rawConfigs(protocol.VersionTLS13, p256)
	client.CertificateCompression, server.CertificateCompression = stamps(8), stamps(8)
	p := begin(t, protocol.Stream, client, server).run()
	expectOpen(t, p)
	if got := append(compressions(t, p.server.sent), compressions(t, p.client.sent)...); len(got) != 2 {
		t.Errorf("compressed by %v", got)
	}
}

// TestCompressedCertificateRefused: RFC 8879 4 and 5.
func TestCompressedCertificateRefused(t *testing.T) {
	certificate := appended((&message.Certificate13{Entries: []message.CertificateEntry{{Data: testPKI().leaf[p256].Certificate[0]}}}).Append)
	stamped := append([]byte{8}, certificate...)
	for _, c := range []struct {
		name   string
		client []CertificateCompressor
		sent   message.CompressedCertificate
		alert  alert.Alert
		reason alert.Reason
	}{
		{"as it should be", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: len(certificate), Compressed: stamped}, alert.DecryptError, ""}, // the transcript
		{"nobody asked", nil, message.CompressedCertificate{Algorithm: 8, Length: len(certificate), Compressed: stamped}, alert.UnexpectedMessage, ""},
		{"another algorithm", stamps(8), message.CompressedCertificate{Algorithm: 9, Length: len(certificate), Compressed: stamped}, alert.IllegalParameter, alert.UnknownCompression},
		{"too short", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: len(certificate) - 1, Compressed: stamped}, alert.BadCertificate, alert.DecompressionFailed},
		{"too long", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: len(certificate) + 1, Compressed: stamped}, alert.BadCertificate, alert.DecompressionFailed},
		{"not compressed", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: len(certificate), Compressed: certificate}, alert.BadCertificate, alert.DecompressionFailed},
		{"a bomb", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: maxCertificate + 1, Compressed: stamped}, alert.BadCertificate, alert.CertificateTooLong},
		{"no certificate in it", stamps(8), message.CompressedCertificate{Algorithm: 8, Length: 1, Compressed: []byte{8, 0}}, alert.DecodeError, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS13)
			client.CertificateCompression = c.client
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(to *peer, m Message) []Message {
				if m.Type == protocol.Certificate {
					m.Type, m.Body = protocol.CompressedCertificate, appended(c.sent.Append)
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.alert)
			if c.reason != "" && !errors.Is(p.client.err, c.reason) {
				t.Errorf("the reason is not %q: %v", c.reason, p.client.err)
			}
			for _, s := range c.client {
				if refused := c.reason == alert.CertificateTooLong || c.reason == alert.UnknownCompression; refused == (s.(*stamp).decompressed > 0) {
					t.Errorf("decompressed %d times", s.(*stamp).decompressed)
				}
			}
		})
	}
}

// TestCompressedCertificateIn12: there is no such message.
func TestCompressedCertificateIn12(t *testing.T) {
	client, server := configs(protocol.VersionTLS12)
	client.CertificateCompression = stamps(8)
	p := begin(t, protocol.Stream, client, server)
	p.onWay = func(to *peer, m Message) []Message {
		if m.Type == protocol.Certificate {
			m.Type = protocol.CompressedCertificate
		}
		return []Message{m}
	}
	p.run()
	p.client.expectRefused(t, alert.UnexpectedMessage)
}

// TestCompressionFails: what can't be compressed is not sent.
func TestCompressionFails(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	fails := errors.New("no space")
	client.CertificateCompression = stamps(8)
	server.CertificateCompression = []CertificateCompressor{&stamp{id: 8, fails: fails}}
	p := begin(t, protocol.Stream, client, server).run()
	p.server.expectRefused(t, alert.InternalError)
	if !errors.Is(p.server.err, fails) {
		t.Error(p.server.err)
	}
}

// TestCompressionOffers: one algorithm twice is refused, by stacks in use too.
func TestCompressionOffers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		p := begin(t, transport, client, server)
		p.client.work()
		p.server.take(editClientHello(t, transport, p.server.pop(), func(_ *message.ClientHello, x *extensionList) {
			x.set(protocol.ExtCompressCertificate, []byte{4, 0, 1, 0, 1})
		}))
		p.server.expectRefused(t, alert.IllegalParameter)
	})
	for name, list := range map[string][]CertificateCompressor{"twice": stamps(8, 9, 8), "nothing": {nil}} {
		client, _ := configs(0)
		client.CertificateCompression = list
		if err, ok := errors.AsType[*ConfigError](client.Validate(Client, protocol.Stream)); !ok || err.Field != "CertificateCompression" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMaxCertificateList: it bounds Certificate, compressed or not, and nothing
// else.
func TestMaxCertificateList(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, compress := range [][]CertificateCompressor{nil, {cert.Zlib{}}} {
			client, server := configs(v)
			long := server.Certificates[0]
			for range 20 { // more of the same, which compresses well
				long.Certificate = append(slices.Clip(long.Certificate), testPKI().root.Certificate[0])
			}
			server.Certificates = []tls.Certificate{long}
			client.CertificateCompression, server.CertificateCompression = compress, compress
			size := 0
			p := complete(t, transport, client, server)
			for _, m := range p.server.sent {
				switch m.Type {
				case protocol.Certificate:
					size = len(m.Body)
				case protocol.CompressedCertificate:
					var in message.CompressedCertificate
					in.Parse(m.Body)
					size = in.Length
				}
			}
			client.MaxCertificateList = size
			complete(t, transport, client, server)
			client.MaxCertificateList = size - 1
			p = begin(t, transport, client, server).run()
			p.client.expectRefused(t, alert.IllegalParameter, alert.BadCertificate)
		}
	})
	for _, n := range []int{-1, 1 << 24} {
		client, _ := configs(0)
		client.MaxCertificateList = n
		if err, ok := errors.AsType[*ConfigError](client.Validate(Client, protocol.Stream)); !ok || err.Field != "MaxCertificateList" {
			t.Errorf("%d: %v", n, err)
		}
	}
}
