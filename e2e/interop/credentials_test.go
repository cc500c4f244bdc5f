package interop

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// credentials are made once for all tests.
var credentials struct {
	root           string
	server, client map[pki.Kind]*pki.Leaf
	foreignRoot    string    // has signed none of them
	otherName      *pki.Leaf // a server's, for another host
	expired        *pki.Leaf
}

func makeCredentials(directory string) error {
	foreign, err := newAuthority(filepath.Join(directory, "foreign"))
	if err != nil {
		return err
	}
	authority, err := newAuthority(filepath.Join(directory, "authority"))
	if err != nil {
		return err
	}
	c := &credentials
	c.root, c.foreignRoot = authority.Root, foreign.Root
	c.server, c.client = make(map[pki.Kind]*pki.Leaf), make(map[pki.Kind]*pki.Leaf)
	for _, kind := range []pki.Kind{pki.ECDSA, pki.P384, pki.P521, pki.RSA, pki.Ed25519} {
		for _, role := range []map[pki.Kind]*pki.Leaf{c.server, c.client} {
			if role[kind], err = authority.Leaf(pki.Request{Kind: kind}); err != nil {
				return err
			}
		}
	}
	if c.otherName, err = authority.Leaf(pki.Request{Name: "other.test"}); err != nil {
		return err
	}
	c.expired, err = authority.Leaf(pki.Request{Expires: time.Now().Add(-time.Hour)})
	return err
}

func newAuthority(directory string) (*pki.Authority, error) {
	if err := os.Mkdir(directory, 0o700); err != nil {
		return nil, err
	}
	return pki.NewAuthority(directory)
}

// certificates are a leaf for godwit in this process.
func certificates(t *testing.T, leaf *pki.Leaf) []tls.Certificate {
	t.Helper()
	c, err := tls.LoadX509KeyPair(leaf.Chain, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{c}
}
