package main

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// A handshakeTask makes connections in memory and ends them: both sides, a byte
// there and back, both goodbyes.
type handshakeTask struct {
	stack     stack
	endpoints endpoints
	resumes   bool
}

func (p inProcess) handshakes(h handshake) (task, error) {
	e, err := p.endpoints(h)
	if err != nil {
		return nil, err
	}
	t := handshakeTask{p.stack, e, h.resumes}
	return t, t.live(false) // the first resumes nothing
}

func (t handshakeTask) run(d time.Duration) (sample, error) {
	return measure(d, func() (int, error) { return 1, t.live(t.resumes) })
}

// live is a whole life of a connection.
func (t handshakeTask) live(resumed bool) error {
	p, err := t.endpoints.connect(newLinks(t.stack.transport()))
	if err != nil {
		return err
	}
	if t.endpoints.resumed(p.client) != resumed {
		return fmt.Errorf("a session was resumed: %v", !resumed)
	}
	return p.close()
}

func (t handshakeTask) close() {}

// publicKeys is the public-key work of a full handshake of both sides: two key
// shares, two shared secrets, a signature, a verification. Keys of the peer come
// in their encoding.
type publicKeys struct{ group tls.CurveID }

func (p publicKeys) run(d time.Duration) (sample, error) { return measure(d, p.once) }
func (p publicKeys) close()                              {}

func (p publicKeys) once() (int, error) {
	if err := exchangeX25519(); err != nil {
		return 0, err
	}
	if p.group == tls.X25519MLKEM768 {
		if err := encapsulate(); err != nil {
			return 0, err
		}
	}
	return 1, signAndVerify()
}

func exchangeX25519() error {
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	for i, key := range keys {
		share, err := ecdh.X25519().NewPublicKey(keys[1-i].PublicKey().Bytes())
		if err != nil {
			return err
		}
		if _, err := key.ECDH(share); err != nil {
			return err
		}
	}
	return nil
}

func encapsulate() error {
	key, err := mlkem.GenerateKey768()
	if err != nil {
		return err
	}
	share, err := mlkem.NewEncapsulationKey768(key.EncapsulationKey().Bytes())
	if err != nil {
		return err
	}
	_, ciphertext := share.Encapsulate()
	_, err = key.Decapsulate(ciphertext)
	return err
}

func signAndVerify() error {
	key := certificate.PrivateKey.(*ecdsa.PrivateKey)
	digest := sha256.Sum256(certificate.Certificate[0])
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	encoded, err := key.PublicKey.Bytes()
	if err != nil {
		return err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), encoded)
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(public, digest[:], signature) {
		return errors.New("a good signature does not verify")
	}
	return nil
}
