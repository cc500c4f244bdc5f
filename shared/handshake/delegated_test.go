package handshake

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// delegating issues a certificate that may delegate, unless edit takes that away.
func delegating(t *testing.T, edit func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	root := &testPKI().root
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    testTime.AddDate(0, 0, -1),
		NotAfter:     testTime.AddDate(0, 1, 0),
		DNSNames:     []string{testName},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 44363, 44}, Value: []byte{5, 0}},
		},
	}
	if edit != nil {
		edit(template)
	}
	key := newKey(p256)
	der, err := x509.CreateCertificate(rand.Reader, template, root.Leaf, key.Public(), root.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// delegated is a credential of a delegated key. The certificate's own is gone.
func delegated(t *testing.T, parent *tls.Certificate, key crypto.Signer, expires time.Time) Credential {
	t.Helper()
	d, err := NewDelegatedCredential(parent, key, expires)
	if err != nil {
		t.Fatal(err)
	}
	return Credential{Certificate: &tls.Certificate{Certificate: parent.Certificate}, Delegated: d}
}

// TestDelegatedCredential is used by who asks for it, and by nobody in 1.2.
func TestDelegatedCredential(t *testing.T) {
	parent := delegating(t, nil)
	for kind, scheme := range map[keyKind]tls.SignatureScheme{p384: tls.ECDSAWithP384AndSHA384, edwards: tls.Ed25519} {
		own := []Credential{delegated(t, parent, newKey(kind), testTime.AddDate(0, 0, 6)), testPKI().credential(p256)}
		for name, c := range map[string]struct {
			asks, verifies []tls.SignatureScheme
			want           int
		}{
			"not asked for":        {nil, nil, 1},
			"asked for":            {[]tls.SignatureScheme{tls.ECDSAWithP521AndSHA512, scheme}, nil, 0},
			"of other schemes":     {[]tls.SignatureScheme{tls.ECDSAWithP521AndSHA512}, nil, 1},
			"the other list":       {[]tls.SignatureScheme{tls.ECDSAWithP521AndSHA512}, []tls.SignatureScheme{scheme, tls.ECDSAWithP256AndSHA256}, 1},
			"by what is no scheme": {[]tls.SignatureScheme{scheme}, []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, 0},
		} {
			t.Run(name, func(t *testing.T) {
				eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
					client, server := configs(v)
					server.Certificates, server.Credentials = nil, own
					client.DelegatedCredentialSchemes, client.PeerSignatureSchemes = c.asks, c.verifies
					p := complete(t, transport, client, server)
					want := c.want
					if !v.Is13() {
						want = 1
					}
					if got := p.server.m.State().LocalCredential; got != &own[want] {
						t.Errorf("the server used %v", got)
					}
					if got := p.client.m.State().PeerSignature; want == 0 && got != scheme {
						t.Errorf("the client verified %v", got)
					}
				})
			})
		}
	}
}

// TestDelegatedCredentialUnsigned: who can't verify the signature that delegates
// gets another credential.
func TestDelegatedCredentialUnsigned(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	server.Certificates = nil
	server.Credentials = []Credential{delegated(t, delegating(t, nil), newKey(edwards), testTime.AddDate(0, 0, 1)), testPKI().credential(rsaKey)}
	client.DelegatedCredentialSchemes, client.PeerSignatureSchemes = []tls.SignatureScheme{tls.Ed25519}, []tls.SignatureScheme{tls.PSSWithSHA256}
	if got := complete(t, protocol.Stream, client, server).server.m.State().LocalCredential; got != &server.Credentials[1] {
		t.Errorf("the server used %v", got)
	}
}

// TestBadDelegatedCredentials are refused as RFC 9345 4.1.3 says.
func TestBadDelegatedCredentials(t *testing.T) {
	parent := delegating(t, nil)
	expires := testTime.AddDate(0, 0, 6)
	may := func(c *Config) {
		c.DelegatedCredentialSchemes = []tls.SignatureScheme{tls.Ed25519, tls.ECDSAWithP256AndSHA256}
	}
	for name, c := range map[string]struct {
		own    Credential
		change func(*Config)
		edit   func(*message.DelegatedCredential)
	}{
		"expired":                 {delegated(t, parent, newKey(edwards), testTime.Add(-time.Second)), may, nil},
		"too long":                {delegated(t, parent, newKey(edwards), testTime.AddDate(0, 0, 7).Add(time.Second)), may, nil},
		"signature":               {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.Signature[8] ^= 1 }},
		"longer than signed":      {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.ValidTime++ }},
		"another key":             {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.Info[20] ^= 1 }},
		"scheme of the signature": {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.Algorithm = uint16(tls.ECDSAWithP384AndSHA384) }},
		"scheme of the key":       {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.Scheme = uint16(tls.ECDSAWithP256AndSHA256) }},
		"scheme not asked for":    {delegated(t, parent, newKey(edwards), expires), may, func(d *message.DelegatedCredential) { d.Scheme = uint16(tls.ECDSAWithP521AndSHA512) }},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS13)
			server.Certificates, server.Credentials = nil, []Credential{c.own}
			c.change(client)
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.Certificate && c.edit != nil {
					m.Body = editDelegated(t, m.Body, c.edit)
				}
				return []Message{m}
			}
			p.run().client.expectRefused(t, alert.IllegalParameter)
		})
	}
	t.Run("of a certificate that may not", func(t *testing.T) {
		plain := *parent
		plain.Certificate = delegating(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature; c.ExtraExtensions = nil }).Certificate
		if _, err := NewDelegatedCredential(&plain, newKey(edwards), expires); err == nil {
			t.Error("a certificate that may not delegate does")
		}
	})
}

// editDelegated changes the delegated credential in a Certificate message.
func editDelegated(t *testing.T, body []byte, edit func(*message.DelegatedCredential)) []byte {
	t.Helper()
	var out message.Certificate13
	if err := out.Parse(body); err != nil {
		t.Fatal(err)
	}
	raw, ok := out.Entries[0].Extensions.Find(protocol.ExtDelegatedCredential)
	if !ok {
		t.Fatal("no delegated credential was sent")
	}
	in, err := parse(&message.DelegatedCredential{}, slices.Clone(raw))
	if err != nil {
		t.Fatal(err)
	}
	edit(in)
	x := listOf(out.Entries[0].Extensions)
	x.set(protocol.ExtDelegatedCredential, appended(in.Append))
	out.Entries[0].Extensions = x.block()
	return appended(out.Append)
}

// TestDelegatedCredentialConfig: what can't work is told at once.
func TestDelegatedCredentialConfig(t *testing.T) {
	parent := delegating(t, nil)
	good := delegated(t, parent, newKey(p256), testTime.AddDate(0, 0, 6))
	for name, c := range map[string]struct {
		change func(*Credential)
		want   error // wrapped
	}{
		"good":         {func(*Credential) {}, nil},
		"another key":  {func(c *Credential) { c.Delegated = &DelegatedCredential{c.Delegated.Raw, newKey(p256)} }, alert.KeyMismatch},
		"cut short":    {func(c *Credential) { c.Delegated = &DelegatedCredential{c.Delegated.Raw[:9], c.Delegated.PrivateKey} }, errAny},
		"no key":       {func(c *Credential) { c.Delegated = &DelegatedCredential{c.Delegated.Raw, nil} }, errAny},
		"no chain":     {func(c *Credential) { c.Certificate = nil }, errAny},
		"of a raw key": {func(c *Credential) { c.Certificate, c.RawPublicKey = nil, newKey(p256) }, errAny},
	} {
		own := good
		c.change(&own)
		config := &Config{Credentials: []Credential{own}}
		err := config.Validate(Server, protocol.Stream)
		bad, ok := errors.AsType[*ConfigError](err)
		switch {
		case c.want == nil && err != nil, c.want != nil && (!ok || bad.Field != "Credentials"), c.want != nil && c.want != errAny && !errors.Is(err, c.want):
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		parent  *tls.Certificate
		key     crypto.Signer
		expires time.Time
		want    error
	}{
		"an RSA key":                     {parent, newKey(rsaKey), testTime.AddDate(0, 0, 6), alert.WrongScheme},
		"no key":                         {parent, nil, testTime.AddDate(0, 0, 6), errAny},
		"of no certificate":              {&tls.Certificate{}, newKey(p256), testTime.AddDate(0, 0, 6), errAny},
		"of a certificate without a key": {&tls.Certificate{Certificate: parent.Certificate}, newKey(p256), testTime.AddDate(0, 0, 6), errAny},
		"over before it begins":          {parent, newKey(p256), testTime.AddDate(-1, 0, 0), errAny},
		"for centuries":                  {parent, newKey(p256), testTime.AddDate(200, 0, 0), errAny},
	} {
		if _, err := NewDelegatedCredential(c.parent, c.key, c.expires); err == nil || c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	config := &Config{InsecureSkipVerify: true, DelegatedCredentialSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}
	if bad, ok := errors.AsType[*ConfigError](config.Validate(Client, protocol.Stream)); !ok || bad.Field != "DelegatedCredentialSchemes" {
		t.Errorf("a client that lets delegated RSA keys sign: %v", bad)
	}
}

var errAny = errors.New("any error")
