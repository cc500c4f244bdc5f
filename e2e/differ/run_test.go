package differ

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	godwit "github.com/godwit-dtls/godwit/tls"
)

// A setting is a handshake, seen from the side that is tested.
type setting struct {
	name      string
	transport protocol.Transport
	version   protocol.Version // as TLS has it
	role      handshake.Role   // of the subject
	auth      bool             // the client has a certificate
	retry     bool             // the first key share is of no use
	oracle    func(setting) subject
}

// certificate is everybody's but OpenSSL's, which has one of its own.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"differ.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

var protocols = []string{"hello"}

// config is godwit's. Who is tested has both versions; the rogue, one.
func (s setting) config(r handshake.Role) *handshake.Config {
	c := &handshake.Config{
		Time:                    func() time.Time { return now },
		MinVersion:              tls.VersionTLS12,
		MaxVersion:              tls.VersionTLS13,
		NextProtos:              protocols,
		CurvePreferences:        []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites:            []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		SessionTicketsDisabled:  true,
		InsecureAllowMissingEMS: true, // the oracles do
		MTU:                     1400,
	}
	if s.transport == protocol.Datagram {
		c.MaxVersion = tls.VersionTLS12
	}
	if r == handshake.Client {
		c.ServerName, c.InsecureSkipVerify = "differ.example", true
	}
	if r == handshake.Server || s.auth {
		c.Certificates = []tls.Certificate{certificate()}
	}
	if r == handshake.Server && s.auth {
		c.ClientAuth = tls.RequireAnyClientCert
	}
	return c
}

// goConfig is the same for crypto/tls.
func (s setting) goConfig() *tls.Config {
	ours := s.config(s.role)
	return &tls.Config{
		Time: ours.Time, MinVersion: ours.MinVersion, MaxVersion: ours.MaxVersion, NextProtos: ours.NextProtos,
		CurvePreferences: ours.CurvePreferences, CipherSuites: ours.CipherSuites, SessionTicketsDisabled: true,
		ServerName: ours.ServerName, InsecureSkipVerify: ours.InsecureSkipVerify,
		Certificates: ours.Certificates, ClientAuth: ours.ClientAuth,
	}
}

// ours is godwit as the subject.
func (s setting) ours(t testing.TB) subject {
	c := s.config(s.role)
	if s.transport == protocol.Datagram {
		make := dtls.NewServerEngine
		if s.role == handshake.Client {
			make = dtls.NewClientEngine
		}
		return &dtlsEngine{Engine: must(make(c))(t)}
	}
	make := godwit.NewServerEngine
	if s.role == handshake.Client {
		make = godwit.NewClientEngine
	}
	e := &tlsEngine{}
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*handshake.Config, error) {
		e.seen.hello = describe(h)
		return nil, nil
	}
	e.Engine = must(make(c))(t)
	return e
}

// cryptoTLS is crypto/tls as the subject.
func (s setting) cryptoTLS() subject {
	if s.role == handshake.Client {
		return newGoConn(tls.Client, s.goConfig())
	}
	c := s.goConfig()
	var g *goConn
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		g.seen.hello = describe(h)
		return nil, nil
	}
	g = newGoConn(tls.Server, c)
	return g
}

// letters are the setting as openssl.c has it.
func (s setting) letters() string {
	var b strings.Builder
	for letter, on := range map[string]bool{"c": s.role == handshake.Client, "d": s.transport == protocol.Datagram,
		"a": s.auth} {
		if on {
			b.WriteString(letter)
		}
	}
	return b.String()
}

// rogue is the other side.
func (s setting) rogue(t testing.TB, f *fault) *rogue {
	role := s.role.Peer()
	c := s.config(role)
	c.MinVersion, c.MaxVersion = uint16(s.version), uint16(s.version)
	switch {
	case s.retry && role == handshake.Client:
		c.KeyShares = []tls.CurveID{}
	case s.retry:
		c.CurvePreferences = []tls.CurveID{tls.CurveP256}
	}
	c.RewriteMessage = f.rewrite
	r := must(newRogue(role, c, s.transport))(t)
	r.message = f.commit
	r.record = func(n int, c content) [][]byte { return f.commitRecord(r, n, c) }
	f.version = s.version.Over(s.transport)
	return r
}

// A fault is what is made of the nth message, or of the nth record.
type fault struct {
	at     int
	edits  []edit       // of the message
	record *recordFault // of the record

	version protocol.Version
	changes []string // that were made
}

var lawful = fault{at: -1}

// commitRecord commits a fault of a record.
func (f *fault) commitRecord(r *rogue, n int, c content) [][]byte {
	if n != f.at || f.record == nil {
		return nil
	}
	records := f.record.commit(r, c)
	if records != nil {
		f.changes = []string{fmt.Sprintf("record %d, %v, %s", n, c.kind, f.record.name)}
	}
	return records
}

// rewrite commits the fault before the rogue goes by the message itself, which only works
// for a first hello that it can read.
func (f *fault) rewrite(t protocol.HandshakeType, body []byte) []byte {
	if f.at != 0 || f.edits == nil || f.changes != nil || t == protocol.CertificateRequest {
		return nil
	}
	whole := parse(t, f.version, body)
	changes := carryOut(f.edits, whole)
	mutant := whole.append(nil)
	if _, err := message.Parse(t, f.version, mutant); err != nil || len(changes) == 0 {
		return nil
	}
	f.changes = changes
	return mutant
}

// commit commits it behind the rogue's back.
func (f *fault) commit(n int, m handshake.Message) []byte {
	if n != f.at || f.edits == nil || f.changes != nil || m.Content != protocol.Handshake {
		return m.Body
	}
	whole := parse(m.Type, f.version, m.Body)
	f.changes = carryOut(f.edits, whole)
	return whole.append(nil)
}

// An outcome is what comes of a fault.
type outcome struct {
	chosen string // by the subject, as a server
	hello  string // as it was read
	alert  string // the first that it sent; none: ""
	open   bool
	data   string // that it has delivered
	closed bool   // it has ended
	err    error  // why
}

func (o outcome) String() string {
	switch {
	case o.alert != "":
		return o.alert
	case o.closed:
		return "closes"
	case o.open && o.data == "one two":
		return strings.TrimSuffix("open, "+o.chosen, ", ")
	case o.open:
		return fmt.Sprintf("open, delivers %q, %s", o.data, o.chosen)
	}
	return strings.TrimSuffix("waits, "+o.chosen, ", ")
}

// meet lets a rogue and a subject talk until neither has more to say, and lets the rogue
// say something once all is well.
func meet(s setting, sub subject, r *rogue) outcome {
	defer sub.close()
	if s.role == handshake.Client {
		talk(s, sub, r, nil, sub.start())
	} else {
		talk(s, sub, r, r.start(), nil)
	}
	if r.err == nil && r.machine.Open() {
		talk(s, sub, r, append(r.say("one "), r.say("two")...), nil)
	}
	v := sub.view()
	o := outcome{chosen: strings.Join(r.chosen, ", "), hello: v.hello, open: v.open, data: string(v.data), closed: v.err != nil, err: v.err}
	if len(r.alerts) > 0 {
		o.alert = r.alerts[0]
	}
	return o
}

func talk(s setting, sub subject, r *rogue, toSubject, toRogue [][]byte) {
	for len(toSubject)+len(toRogue) > 0 {
		if s.transport == protocol.Stream {
			toSubject, toRogue = joined(toSubject), joined(toRogue)
		}
		for _, in := range toRogue {
			toSubject = append(toSubject, r.receive(in)...)
		}
		toRogue = nil
		for _, in := range toSubject {
			toRogue = append(toRogue, sub.receive(in)...)
		}
		toSubject = nil
	}
}

func joined(pieces [][]byte) [][]byte {
	if len(pieces) == 0 {
		return nil
	}
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	return [][]byte{all}
}

// withGo are the handshakes that crypto/tls is the oracle of.
func withGo() []setting {
	return bothRoles([]setting{
		{name: "TLS 1.3", version: protocol.VersionTLS13, auth: true},
		{name: "TLS 1.3 with a HelloRetryRequest", version: protocol.VersionTLS13, retry: true},
		{name: "TLS 1.2", version: protocol.VersionTLS12, auth: true},
	}, setting.cryptoTLS)
}

// withOpenSSL are those that OpenSSL is the oracle of.
func withOpenSSL(o *openSSL) []setting {
	return bothRoles([]setting{
		{name: "DTLS 1.2", transport: protocol.Datagram, version: protocol.VersionTLS12, auth: true},
		{name: "TLS 1.3 (OpenSSL)", version: protocol.VersionTLS13, auth: true},
		{name: "TLS 1.2 (OpenSSL)", version: protocol.VersionTLS12, auth: true},
	}, func(s setting) subject { return o.begin(s.letters()) })
}

func bothRoles(settings []setting, oracle func(setting) subject) (all []setting) {
	for _, role := range []handshake.Role{handshake.Client, handshake.Server} {
		for _, s := range settings {
			s.role, s.oracle = role, oracle
			s.name = fmt.Sprintf("%s, %v", s.name, role)
			all = append(all, s)
		}
	}
	return all
}
