package cert

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"runtime"
	"sync"
	"weak"
)

// known are the peers' certificates that somebody holds. Who meets a peer again, as
// clients do and servers of devices, parses nothing, and what many connections have
// is there once.
var known = cache{entries: map[fingerprint]weak.Pointer[x509.Certificate]{}}

// A cache of certificates keeps none of them alive.
type cache struct {
	mu      sync.Mutex
	entries map[fingerprint]weak.Pointer[x509.Certificate]
}

// A fingerprint is the SHA-256 of a certificate's DER.
type fingerprint [sha256.Size]byte

// parse returns the certificate that der encodes. It keeps no view of der, which may be
// a small part of what came with it.
func (k *cache) parse(der []byte) (*x509.Certificate, error) {
	f := fingerprint(sha256.Sum256(der))
	if c := k.find(f); c != nil {
		return c, nil
	}
	c, err := x509.ParseCertificate(bytes.Clone(der))
	if err != nil {
		return nil, err
	}
	if c.PublicKey == nil {
		if key, ok := parsePSSPublicKey(c.RawSubjectPublicKeyInfo); ok {
			c.PublicKey = key
		}
	}
	return k.add(f, c), nil
}

func (k *cache) find(f fingerprint) *x509.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.entries[f].Value()
}

// add returns the certificate to use, which is another's if that came first.
func (k *cache) add(f fingerprint, c *x509.Certificate) *x509.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if first := k.entries[f].Value(); first != nil {
		return first
	}
	entry := weak.Make(c)
	k.entries[f] = entry
	runtime.AddCleanup(c, func(f fingerprint) { k.remove(f, entry) }, f)
	return c
}

// remove forgets a certificate that is gone, unless another took its place.
func (k *cache) remove(f fingerprint, entry weak.Pointer[x509.Certificate]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries[f] == entry {
		delete(k.entries, f)
	}
}
