package handshake

import (
	"crypto/hmac"
	"fmt"
	"io"
	"sync"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// secrets12 are the secrets of 1.2 that last as long as a connection (RFC 5246 8.1).
type secrets12 struct {
	master         keys.Master12
	client, server [32]byte // randoms
}

// keys12 are those of its records (RFC 5246 6.3).
type keys12 struct {
	client, server keys.RecordKey
}

// secrets13 are the secrets of 1.3 that last (RFC 9846 7.1).
type secrets13 struct {
	client, server keys.TrafficSecret // application traffic secrets
	exporter       keys.ExporterSecret
	resumption     keys.ResumptionSecret // of tickets, if any may come
}

// --- Keys of 1.3

// deriveHandshakeKeys is the schedule from ServerHello on: both sides' traffic
// now goes under the handshake keys.
func (m *Machine) deriveHandshakeKeys() error {
	sum := m.transcript.sum()
	handshake := m.handshakeSecret(keys.Schedule{Hash: m.suite.Hash, Transport: m.transport})
	m.finishedClient, m.finishedServer = handshake.ClientTraffic(sum), handshake.ServerTraffic(sum)
	m.master = handshake.Master()
	m.logKey("CLIENT_HANDSHAKE_TRAFFIC_SECRET", m.finishedClient.Bytes())
	m.logKey("SERVER_HANDSHAKE_TRAFFIC_SECRET", m.finishedServer.Bytes())
	if !m.staysEarly() {
		under := m.writeUnder
		if m.role == Server {
			under = m.readUnder
		}
		if err := under(LevelHandshake, m.finishedClient.Key(m.suite)); err != nil {
			return err
		}
	}
	if m.role == Server {
		return m.writeUnder(LevelHandshake, m.finishedServer.Key(m.suite))
	}
	return m.readUnder(LevelHandshake, m.finishedServer.Key(m.suite))
}

// handshakeSecret is what the PSK, if there is one, and the key exchange give.
func (m *Machine) handshakeSecret(s keys.Schedule) keys.HandshakeSecret {
	if m.psk == nil {
		return s.Handshake(m.shared)
	}
	return s.Early(m.psk.secret).Handshake(m.shared)
}

// crossedServerFinished derives the application keys of 1.3. The server may
// write under them at once; the client keeps writing under its handshake keys
// until its own Finished.
//
// RFC 9846 4.5.3 [2]
func crossedServerFinished(m *Machine) error {
	if !m.version.Is13() {
		return nil
	}
	s, sum := m.secrets13, m.transcript.sum()
	s.client, s.server, s.exporter = m.master.ClientTraffic(sum), m.master.ServerTraffic(sum), m.master.Exporter(sum)
	m.logKey("CLIENT_TRAFFIC_SECRET_0", s.client.Bytes())
	m.logKey("SERVER_TRAFFIC_SECRET_0", s.server.Bytes())
	m.logKey("EXPORTER_SECRET", s.exporter.Bytes())
	if m.role == Server {
		return m.writeUnder(LevelApplication, s.server.Key(m.suite))
	}
	return m.readUnder(LevelApplication, s.server.Key(m.suite))
}

func crossedClientFinished(m *Machine) error {
	if !m.version.Is13() {
		return nil
	}
	m.prepareTickets()
	if m.ticketsDue > 0 || m.resumes() {
		m.secrets13.resumption = m.master.Resumption(m.transcript.sum())
	}
	if m.role == Server {
		return m.readUnder(LevelApplication, m.secrets13.client.Key(m.suite))
	}
	return m.writeUnder(LevelApplication, m.secrets13.client.Key(m.suite))
}

// --- Keys of 1.2: ChangeCipherSpec (RFC 5246 7.1)

func writeChangeCipherSpec(_ *Machine, b *wire.Builder) error {
	b.Uint8(1)
	return nil
}

func readChangeCipherSpec(_ *Machine, body []byte) error {
	if len(body) != 1 || body[0] != 1 {
		return alert.Peerf(alert.DecodeError, "%w: % x, expected 01", alert.BadChangeCipherSpec, body)
	}
	return nil
}

func crossedChangeCipherSpec(m *Machine) error {
	writer := m.place.At.Writer()
	key := m.keys12.client
	if writer == Server {
		key = m.keys12.server
	}
	if writer == m.role {
		return m.writeUnder(LevelEncrypted, key)
	}
	return m.readUnder(LevelEncrypted, key)
}

func (m *Machine) writeUnder(level uint64, key keys.RecordKey) error {
	m.writeLevel = level
	return m.layer.WriteKey(TrafficKey{level, m.suite, key})
}

func (m *Machine) readUnder(level uint64, key keys.RecordKey) error {
	m.readLevel = level
	return m.layer.ReadKey(TrafficKey{level, m.suite, key})
}

// --- Finished (RFC 9846 4.5.3, RFC 5246 7.4.9)

func writeFinished(m *Machine, b *wire.Builder) error {
	b.Raw(m.verifyData(m.role))
	return nil
}

// RFC 9846 4.5.3 [1]
func readFinished(m *Machine, body []byte) error {
	in, err := parse(&message.Finished{}, body)
	if err != nil {
		return err
	}
	// One of another length is no less wrong, and stacks in use don't tell it apart.
	if !hmac.Equal(in.VerifyData, m.verifyData(m.role.Peer())) {
		return alert.Peerf(alert.DecryptError, "%w", alert.BadFinished)
	}
	if m.role == Server && !m.place.Is(CertRequested) || m.role == Client && !m.place.Is(ServerCert) {
		return m.verifyUnasked()
	}
	return nil
}

// verifyData is what a side's Finished says about the transcript before it.
func (m *Machine) verifyData(r Role) []byte {
	sum := m.transcript.sum()
	switch {
	case m.version.Is13() && r == Client:
		return m.finishedClient.Finished(sum)
	case m.version.Is13():
		return m.finishedServer.Finished(sum)
	}
	said := m.secrets12.master.ServerFinished
	if r == Client {
		said = m.secrets12.master.ClientFinished
	}
	data := said(sum)
	if m.firstFinished == nil {
		m.firstFinished = data
	}
	return data
}

// --- After the handshake

// forget drops what only the handshake needed.
//
// RFC 9846 7.1 [1]
func (m *Machine) forget() {
	m.scaffold, m.out = nil, wire.Builder{}
	m.resumption, m.Introduce = nil, nil
	m.peer.key = nil
	if m.peer.none() {
		m.peer = &nobody
	}
}

// exporter is what ConnectionState.ExportKeyingMaterial calls: at any time, on any
// goroutine, and so it has secrets of its own.
//
// RFC 9846 7.5 [1]
func (m *Machine) exporter() func(label string, context []byte, length int) ([]byte, error) {
	if m.version.Is13() {
		return m.secrets13.exporter.Export
	}
	secrets, bound := *m.secrets12, m.extendedMasterSecret
	return func(label string, context []byte, length int) ([]byte, error) {
		if !bound {
			// Two connections of 1.2 may be made to share a master secret without it
			// (RFC 7627 5.4).
			return nil, alert.Localf(alert.InternalError, "keying material of a 1.2 connection without extended_master_secret is not safe to use")
		}
		return secrets.master.Export(label, context, secrets.client[:], secrets.server[:], length)
	}
}

// keyLogLock orders the lines of Configs that share a writer.
var keyLogLock sync.Mutex

// logKey writes one line in NSS key log format (RFC 9850).
func (m *Machine) logKey(label string, secret []byte) {
	if m.config.KeyLogWriter == nil {
		return
	}
	keyLogLock.Lock()
	defer keyLogLock.Unlock()
	// A log that can't be written is no reason to end a connection.
	io.WriteString(m.config.KeyLogWriter, fmt.Sprintf("%s %x %x\n", label, m.random.client, secret))
}
