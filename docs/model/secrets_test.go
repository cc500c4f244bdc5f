package model

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/keys"
)

// The secrets that a peer derives from what was said.

// sum is the hash of the transcript.
func (p *peer) sum() []byte {
	sum := sha256.Sum256(p.transcript)
	return sum[:]
}

// shared is the secret of the key exchange, nil if there is none yet.
func (p *peer) shared() []byte {
	if p.own == nil || p.share == nil {
		return nil
	}
	s, err := p.own.Shared(p.share)
	check(err)
	return s
}

// protect puts both directions' keys to use, as the client's and the server's.
func (p *peer) protect(level uint64, client, server keys.RecordKey) {
	ours, theirs := client, server
	if p.we() == handshake.Server {
		ours, theirs = server, client
	}
	p.link.writeUnder(level, p.suite(), ours)
	p.link.readUnder(level, p.suite(), theirs)
}

// deriveHandshake is the schedule of 1.3 from ServerHello on, the first time that there
// is one.
func (p *peer) deriveHandshake() {
	shared := p.shared()
	if p.secrets != nil || shared == nil {
		return
	}
	s, sum := p.early().Handshake(shared), p.sum()
	p.secrets = &struct {
		client, server keys.TrafficSecret
		master         keys.MasterSecret
	}{s.ClientTraffic(sum), s.ServerTraffic(sum), s.Master()}
	p.protect(handshake.LevelHandshake, p.secrets.client.Key(p.suite()), p.secrets.server.Key(p.suite()))
	p.writes = handshake.LevelHandshake
}

// early is where the schedule of 1.3 begins.
func (p *peer) early() keys.EarlySecret {
	schedule := keys.Schedule{Hash: p.suite().Hash, Transport: p.transport()}
	switch {
	case !p.resumes:
		return schedule.Early(nil)
	case p.authentication == resumed:
		return schedule.Early(p.session().Secret)
	}
	return schedule.Early(secret.Key)
}

// deriveApplication is the same from the server's Finished on.
func (p *peer) deriveApplication() {
	if p.application != nil || p.secrets == nil {
		return
	}
	sum := p.sum()
	p.application = &struct{ client, server keys.TrafficSecret }{p.secrets.master.ClientTraffic(sum), p.secrets.master.ServerTraffic(sum)}
	p.protect(handshake.LevelApplication, p.application.client.Key(p.suite()), p.application.server.Key(p.suite()))
	if p.we() == handshake.Server {
		p.writes = handshake.LevelApplication
	}
}

// acked puts the key of a KeyUpdate to use.
func (p *peer) acked() {
	if !p.updating {
		return
	}
	p.updating = false
	ours := &p.application.client
	if p.we() == handshake.Server {
		ours = &p.application.server
	}
	*ours = ours.Next()
	p.writes++
	p.link.writeUnder(p.writes, p.suite(), ours.Key(p.suite()))
}

// derive12 makes the keys of 1.2, which ClientKeyExchange decides.
func (p *peer) derive12() {
	premaster := p.shared()
	if p.authentication == sharedKey {
		n := uint16(len(secret.Key))
		premaster = append(binary.BigEndian.AppendUint16(nil, n), make([]byte, n)...)
		premaster = append(binary.BigEndian.AppendUint16(premaster, n), secret.Key...)
	}
	if premaster != nil && p.serverRandom != nil {
		p.use12(keys.ExtendedMaster(p.suite().Hash, premaster, p.sum()))
	}
}

// use12 puts a master secret to use, the first that there is.
func (p *peer) use12(master keys.Master12) {
	if p.master != nil {
		return
	}
	p.master = &master
	client, server := master.KeyBlock(p.clientRandom, p.serverRandom, p.suite())
	p.protect(handshake.LevelEncrypted, client, server)
}

// verifyData is that of our Finished; some other bytes if there are no secrets for it.
func (p *peer) verifyData() []byte {
	sum := p.sum()
	switch client := p.we() == handshake.Client; {
	case p.secrets != nil && client:
		return p.secrets.client.Finished(sum)
	case p.secrets != nil:
		return p.secrets.server.Finished(sum)
	case p.master != nil && client:
		return p.master.ClientFinished(sum)
	case p.master != nil:
		return p.master.ServerFinished(sum)
	case p.version.Is13():
		return sum
	}
	return sum[:12]
}
