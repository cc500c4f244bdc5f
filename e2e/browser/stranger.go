package main

import (
	"crypto/rand"
	"errors"
	"net"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/godwit-dtls/godwit/dtls"
)

// A stranger is a path on which somebody who doesn't know the keys sends media: each
// packet has the header of ours, and is protected by the same profile with keys that
// he made up.
type stranger struct {
	net.Conn
	made *srtp.Context // of one writer of media
}

// learn makes the keys, once the profile is known.
func (s *stranger) learn(profile dtls.SRTPProfile) error {
	p := srtp.ProtectionProfile(profile) // both have IANA's numbers
	keySize, errKey := p.KeyLen()
	saltSize, errSalt := p.SaltLen()
	if err := errors.Join(errKey, errSalt); err != nil {
		return err
	}
	secret := make([]byte, keySize+saltSize)
	rand.Read(secret) // never fails
	var err error
	s.made, err = srtp.CreateContext(secret[:keySize], secret[keySize:], p)
	return err
}

func (s *stranger) Write(p []byte) (int, error) {
	if dtls.Classify(p) != dtls.RTPPacket {
		return s.Conn.Write(p)
	}
	var packet rtp.Packet
	if err := packet.Unmarshal(p); err != nil {
		return 0, err
	}
	packet.Payload = make([]byte, 3) // what it is can't be seen
	plain, err := packet.Marshal()
	if err != nil {
		return 0, err
	}
	forged, err := s.made.EncryptRTP(nil, plain, nil)
	if err != nil {
		return 0, err
	}
	if _, err := s.Conn.Write(forged); err != nil {
		return 0, err
	}
	return len(p), nil
}
