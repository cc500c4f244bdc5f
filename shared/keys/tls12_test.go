package keys

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/godwit-dtls/godwit/shared/suite"
)

var (
	random11 = bytes.Repeat([]byte{0x11}, 32) // of the client
	random22 = bytes.Repeat([]byte{0x22}, 32) // of the server
	hash33   = bytes.Repeat([]byte{0x33}, 48) // of a transcript
)

func premaster() []byte {
	p := make([]byte, 48)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

// All vectors of this file are computed with "openssl kdf TLS1-PRF".

func TestPRF(t *testing.T) {
	secret := unhex(t, "9bbe436ba940f017b17652849a71db35")
	seed := unhex(t, "a0ba9f936cda311827a6f796ffd5198c")
	const (
		sha256 = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66"
		sha384 = "dd88775cd827187b67a3f7652b5c13f715791cc46e0274a6d3fb16651103defc544cd8afb68369a219bb918b8b21ddb1764af0a70339e6dec085e574f655851ba692513203536bdfc3675e53768210f0a2389dd324311a440c7c30ef44b391d914c3b0c7"
	)
	for n := range 101 {
		expect(t, "SHA-256", PRF(crypto.SHA256, secret, "test label", seed, n), sha256[:2*n])
		expect(t, "SHA-384", PRF(crypto.SHA384, secret, "test label", seed, n), sha384[:2*n])
	}
}

func TestMaster(t *testing.T) {
	m := Master(crypto.SHA256, premaster(), random11, random22)
	expect(t, "master", m.Bytes(), "bf2551a89a700d5408b099b3d733fd2a9f44a59f47bec76b219de5796d273c6f8e1cf456a7689d195e9894b193822fc3")
	expect(t, "client finished", m.ClientFinished(hash33[:32]), "cb43203c1394dc74d06d04e4")
	expect(t, "server finished", m.ServerFinished(hash33[:32]), "560027025751339d74dca3d2")

	extended := ExtendedMaster(crypto.SHA256, premaster(), hash33[:32])
	expect(t, "extended, SHA-256", extended.Bytes(), "881442a3f9d240c81298d5aff79af1ff34761107d0045dc5184789181688389aaf85eadf1b31994dab80114e857d241e")
	extended = ExtendedMaster(crypto.SHA384, premaster(), hash33)
	expect(t, "extended, SHA-384", extended.Bytes(), "926db60940dfb7586f3de417040614da78fb4846f9023b79c12e08405b4c29877b781fadf24d7413c9753e69e2ab35b3")
}

func TestKeyBlock(t *testing.T) {
	for _, c := range []struct {
		suite  uint16
		master Master12
		block  string
	}{
		{
			suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			Master(crypto.SHA256, premaster(), random11, random22),
			"b78bf22c34f80793432e769ce1c38570980bb56b9e230b59338bbd84711c1f26e336a7de011ac693",
		}, {
			suite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			ExtendedMaster(crypto.SHA384, premaster(), hash33),
			"587f5dc118a212430002643633487e5eb68cb71b29625b62f93324ab2abbe7d4b8a81741bf5bd92cd53af93dab94ef6432291ba0e32d88f6459c1155f5b490c318c79cf141029c85",
		}, {
			suite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			Master(crypto.SHA256, premaster(), random11, random22),
			"b78bf22c34f80793432e769ce1c38570980bb56b9e230b59338bbd84711c1f26e336a7de011ac69348a29747accde77bf66194b53bdf973297f6c5bad324d759d4c0f6fac8f117542a99e7c31800150f6d241cb0a67a800b",
		},
		{
			suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			Master(crypto.SHA256, premaster(), random11, random22),
			"b78bf22c34f80793432e769ce1c38570980bb56b9e230b59338bbd84711c1f26e336a7de011ac69348a29747accde77bf66194b53bdf973297f6c5bad324d759d4c0f6fac8f11754",
		},
	} {
		s := suite.ByID(c.suite)
		client, server := c.master.KeyBlock(random11, random22, s)
		// RFC 5246 6.3: MAC keys, keys, IVs; the client's before the server's.
		mac, key, iv := s.Lengths()
		block := unhex(t, c.block)
		for i, part := range []struct {
			got []byte
			n   int
		}{{client.MAC, mac}, {server.MAC, mac}, {client.Key, key}, {server.Key, key}, {client.IV, iv}, {server.IV, iv}} {
			if !bytes.Equal(part.got, block[:part.n]) {
				t.Errorf("%s, part %d: got %x, want %x", s.Name, i, part.got, block[:part.n])
			}
			block = block[part.n:]
		}
		if len(block) != 0 || client.Number != nil || server.Number != nil {
			t.Errorf("%s: %d bytes left; number keys %x %x", s.Name, len(block), client.Number, server.Number)
		}
	}
}

func TestExport12(t *testing.T) {
	m := Master(crypto.SHA256, premaster(), random11, random22)
	for _, c := range []struct {
		label   string
		context []byte
		n       int
		want    string
	}{
		{"EXTRACTOR-dtls_srtp", nil, 60, "b15c591f1ecb62079c024deef731dc4f57f73b995e2a19db8181651af706b8b5d83caff63209061884f0f9edabd540842bb1fe8db5e7c54c12763944"},
		{"EXPERIMENTAL godwit", nil, 32, "6d60489a4afaac8333ada5bf02c7e3eb61c3824724aed6757b8f68a04d1e8ad4"},
		{"EXPERIMENTAL godwit", []byte{}, 32, "8253fab68ce15e4785989ae9c9cffe73c0c567a8853c646d071ab6385e2002b4"},
		{"EXPERIMENTAL godwit", []byte("abc"), 32, "da587e60ba621ed0081b8f7b9acaedb8d793ea3a9ad1719373e58ee3ced06c53"},
	} {
		got, err := m.Export(c.label, c.context, random11, random22, c.n)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, c.label, got, c.want)
	}
}

func TestExport12Refuses(t *testing.T) {
	m := Master(crypto.SHA256, premaster(), random11, random22)
	for _, c := range []struct {
		label   string
		context []byte
		n       int
	}{
		{"client finished", nil, 32},
		{"server finished", nil, 32},
		{"master secret", nil, 32},
		{"extended master secret", nil, 32},
		{"key expansion", nil, 32},
		{"EXPERIMENTAL godwit", make([]byte, 1<<16), 32},
		{"EXPERIMENTAL godwit", nil, -1},
		{"EXPERIMENTAL godwit", nil, 1 << 16},
	} {
		if got, err := m.Export(c.label, c.context, random11, random22, c.n); err == nil || got != nil {
			t.Errorf("%q, context of %d, length %d: got %d bytes and %v, expected an error", c.label, len(c.context), c.n, len(got), err)
		}
	}
}
