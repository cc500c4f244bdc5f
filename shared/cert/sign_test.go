package cert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The example of RFC 9846 4.5.2.
func TestContent13(t *testing.T) {
	want := strings.Repeat("20", 64) + "544c5320312e332c207365727665722043657274696669636174655665726966" + "79" + "00" + strings.Repeat("01", 32)
	if got := hex.EncodeToString(Content13(ServerVerify, bytes.Repeat([]byte{1}, 32))); got != want {
		t.Errorf("expected %s, got %s", want, got)
	}
	if got := string(Content13(ClientVerify, nil)); !strings.HasSuffix(got, " TLS 1.3, client CertificateVerify\x00") {
		t.Errorf("the client's context is %q", got)
	}
}

// Every key with every scheme in every version: what the RFCs allow goes there
// and back, everything else is refused on both sides.
//
// RFC 9846 4.3.3 [1, 17, 18], 4.5.2 [6, 7], 9.1 [2]
func TestSignVerify(t *testing.T) {
	content := Content13(ServerVerify, make([]byte, 32))
	for _, k := range keyTypes {
		t.Run(k.name, func(t *testing.T) {
			for _, id := range everyScheme {
				signature, err := Sign(k.key(), id, content)
				if !slices.Contains(k.in12, id) && !slices.Contains(k.byName, id) {
					wantAlert(t, err, alert.InternalError, alert.Local)
				} else if err != nil {
					t.Fatalf("%s: %v", SchemeName(id), err)
				}
				for _, u := range everyUse {
					err := Verify(k.key().Public(), u, id, content, signature)
					switch {
					case k.kind == Unsupported:
						wantAlert(t, err, alert.UnsupportedCertificate, alert.Peer)
					case !slices.Contains(k.allowed(u), id):
						wantAlert(t, err, alert.IllegalParameter, alert.Peer)
					case err != nil:
						t.Errorf("%s in %v: %v", SchemeName(id), u, err)
					}
				}
			}
		})
	}
}

func TestVerifyRefusesWrongSignatures(t *testing.T) {
	const v = protocol.VersionDTLS12
	content := []byte("what was signed")
	for _, k := range keyTypes {
		for _, id := range k.in12 {
			public := k.key().Public()
			signature := must(Sign(k.key(), id, content))
			for i := 0; i < len(signature); i += 1 + len(signature)/12 {
				flipped := bytes.Clone(signature)
				flipped[i] ^= 1 << (i % 8)
				wantAlert(t, Verify(public, Use{Version: v}, id, content, flipped), alert.DecryptError, alert.Peer)
			}
			wantAlert(t, Verify(public, Use{Version: v}, id, content, signature[:len(signature)-1]), alert.DecryptError, alert.Peer)
			wantAlert(t, Verify(public, Use{Version: v}, id, content, append(signature, 0)), alert.DecryptError, alert.Peer)
			wantAlert(t, Verify(public, Use{Version: v}, id, content, nil), alert.DecryptError, alert.Peer)
			wantAlert(t, Verify(public, Use{Version: v}, id, content[1:], signature), alert.DecryptError, alert.Peer)
			wantAlert(t, Verify(k.other().Public(), Use{Version: v}, id, content, signature), alert.DecryptError, alert.Peer)
			for _, another := range k.in12 {
				if another != id {
					wantAlert(t, Verify(public, Use{Version: v}, another, content, signature), alert.DecryptError, alert.Peer)
				}
			}
		}
	}
	wantAlert(t, Verify(nil, Use{Version: v}, tls.Ed25519, content, nil), alert.UnsupportedCertificate, alert.Peer)
}

// Lossy-wire tests compare whole runs byte by byte: the same seed must give the
// same keys and signatures.
func TestSignIsDeterministicUnderASeed(t *testing.T) {
	sign := func(seed uint64) []byte {
		cryptotest.SetGlobalRandom(t, seed)
		c := must(SelfSigned(now, "godwit.example"))
		all := bytes.Clone(c.Certificate[0])
		for _, k := range keyTypes {
			for _, id := range k.in12 {
				all = append(all, must(Sign(k.key(), id, all))...)
			}
		}
		return all
	}
	for _, k := range keyTypes {
		k.key() // not within the seeded stretch
	}
	first := sign(1)
	for range 10 {
		if !bytes.Equal(sign(1), first) {
			t.Fatal("the same seed gave another signature")
		}
	}
	if bytes.Equal(sign(2), first) {
		t.Error("another seed gave the same signatures")
	}
}

// A messageSigner takes the whole content, as keys in hardware may.
type messageSigner struct {
	crypto.Signer
	content []byte
	err     error
}

func (s *messageSigner) SignMessage(_ io.Reader, content []byte, options crypto.SignerOpts) ([]byte, error) {
	s.content = bytes.Clone(content)
	if s.err != nil {
		return nil, s.err
	}
	return crypto.SignMessage(s.Signer, rand.Reader, content, options)
}

func TestSignWithExternalKeys(t *testing.T) {
	content := []byte("what was signed")
	key := &messageSigner{Signer: rsa2048()}
	signature := must(Sign(key, tls.PSSWithSHA384, content))
	if !bytes.Equal(key.content, content) {
		t.Errorf("expected the key to get the content itself, it got %q", key.content)
	}
	if err := Verify(key.Public(), Use{Version: protocol.VersionTLS13}, tls.PSSWithSHA384, content, signature); err != nil {
		t.Error(err)
	}
	key.err = errors.New("the token was pulled out")
	_, err := Sign(key, tls.PSSWithSHA384, content)
	wantAlert(t, err, alert.InternalError, alert.Local)
	if !errors.Is(err, key.err) {
		t.Errorf("expected the key's error inside, got %v", err)
	}
}

// readPSS reads a self-signed certificate with the OID RSASSA-PSS and the
// rsa_pss_pss_sha256 signature of "what was signed" by its key, made by
//
//	openssl genpkey -algorithm RSA-PSS [-pkeyopt rsa_pss_keygen_md:sha256 ...]
//	openssl req -x509 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
//	openssl dgst -sha256 -sign KEY -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
func readPSS(t testing.TB, file string) (*x509.Certificate, []byte) {
	t.Helper()
	raw := must(os.ReadFile(file))
	certificate, rest := pem.Decode(raw)
	signature, _ := pem.Decode(rest)
	return must(Parse([][]byte{certificate.Bytes}))[0], signature.Bytes
}

// RFC 9846 4.3.3 [6]
func TestVerifyPSSKeys(t *testing.T) {
	content := []byte("what was signed")
	for file, sha384 := range map[string]alert.Alert{
		"testdata/pss-any.pem":    alert.DecryptError,     // allowed, but it is not what was signed
		"testdata/pss-sha256.pem": alert.IllegalParameter, // the key's parameters forbid it
	} {
		leaf, signature := readPSS(t, file)
		for _, v := range versions {
			if err := Verify(leaf.PublicKey, Use{Version: v}, 0x0809, content, signature); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			wantAlert(t, Verify(leaf.PublicKey, Use{Version: v}, 0x0809, content[1:], signature), alert.DecryptError, alert.Peer)
			wantAlert(t, Verify(leaf.PublicKey, Use{Version: v}, 0x080a, content, signature), sha384, alert.Peer)
			// The scheme belongs to the OID, though the key would do (RFC 9846 4.3.3).
			wantAlert(t, Verify(leaf.PublicKey, Use{Version: v}, tls.PSSWithSHA256, content, signature), alert.IllegalParameter, alert.Peer)
			wantAlert(t, Verify(leaf.PublicKey, Use{Version: v}, tls.PKCS1WithSHA256, content, signature), alert.IllegalParameter, alert.Peer)
		}
		if KindOf(leaf.PublicKey) != RSA {
			t.Errorf("%s: the kind is %d", file, KindOf(leaf.PublicKey))
		}
		roots := x509.NewCertPool()
		roots.AddCert(leaf)
		if _, err := VerifyServer([]*x509.Certificate{leaf}, roots, "pss.example", leaf.NotBefore); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestParsePSSPublicKeyRefusesPrefixes(t *testing.T) {
	for _, file := range []string{"testdata/pss-any.pem", "testdata/pss-sha256.pem"} {
		leaf, _ := readPSS(t, file)
		info := leaf.RawSubjectPublicKeyInfo
		for n := range info {
			if _, ok := parsePSSPublicKey(info[:n]); ok {
				t.Errorf("%s: the first %d of %d bytes are taken for a key", file, n, len(info))
			}
		}
		if _, ok := parsePSSPublicKey(append(bytes.Clone(info), 0)); ok {
			t.Errorf("%s: trailing data is accepted", file)
		}
	}
}

func TestParsePSSParametersRefuses(t *testing.T) {
	for name, parameters := range map[string][]byte{
		"NULL":                      {0x05, 0x00},
		"the default, SHA-1":        {0x30, 0x00},
		"SHA-1":                     {0x30, 0x0b, 0xa0, 0x09, 0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a},
		"data after the parameters": {0x30, 0x11, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x00},
	} {
		if hash, ok := parsePSSParameters(parameters); ok {
			t.Errorf("%s: taken for %v", name, hash)
		}
	}
}

// RFC 9846 4.3.3: the salt is as long as the hash.
//
// RFC 9846 4.3.3 [5]
func TestVerifyRefusesAnotherSaltLength(t *testing.T) {
	content := []byte("what was signed")
	for _, length := range []int{rsa.PSSSaltLengthAuto, 20, 31, 33, 64} {
		signature := must(rsa.SignPSS(rand.Reader, rsa2048().(*rsa.PrivateKey), crypto.SHA256,
			sum(crypto.SHA256, content), &rsa.PSSOptions{SaltLength: length, Hash: crypto.SHA256}))
		err := Verify(rsa2048().Public(), Use{Version: protocol.VersionTLS13}, tls.PSSWithSHA256, content, signature)
		wantAlert(t, err, alert.DecryptError, alert.Peer)
	}
}

func FuzzParsePSSPublicKey(f *testing.F) {
	for _, file := range []string{"testdata/pss-any.pem", "testdata/pss-sha256.pem"} {
		leaf, _ := readPSS(f, file)
		f.Add(leaf.RawSubjectPublicKeyInfo)
	}
	f.Fuzz(func(t *testing.T, info []byte) {
		key, ok := parsePSSPublicKey(info)
		if !ok {
			return
		}
		for _, s := range schemes {
			if fits := s.fits(key, protocol.VersionTLS12); fits && s.algorithm != signPSS {
				t.Errorf("%s fits a key with the OID RSASSA-PSS", s.name)
			}
		}
		if Verify(key, Use{Version: protocol.VersionTLS13}, 0x0809, nil, make([]byte, key.RSA.Size())) == nil {
			t.Error("a signature of zeros verifies")
		}
	})
}
