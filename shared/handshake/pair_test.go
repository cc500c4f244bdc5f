package handshake

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A pair is two Machines and what lies between them, in memory: whole messages
// cross it in order, and nothing is lost.
type pair struct {
	client, server *peer
	// onWay, if set, may change a message on its way to a peer, drop it or add
	// others.
	onWay func(to *peer, m Message) []Message
}

// A peer is a Machine and its Layer.
type peer struct {
	t     testing.TB
	m     *Machine
	other *peer
	err   error // that ended it

	inbox []Message // on their way here
	sent  []Message // all that it wrote
	edit  func(*Message)

	writes, reads []TrafficKey // in the order in which they came
	ids           []ConnectionIDs
	replies       []Reply
	versions      []protocol.Version
	skipped       int
	finished      int
	works         int
}

var _ Layer = (*peer)(nil)

// Send puts a message on its way. edit sees it before the transcript does, and
// may change its body in place.
func (p *peer) Send(m Message) {
	if p.edit != nil {
		p.edit(&m)
	}
	m.Body = slices.Clone(m.Body)
	if m.Level != newest(p.writes) {
		p.t.Errorf("%v writes %v under level %d, its newest is %d", p.m.role, m.Type, m.Level, newest(p.writes))
	}
	p.sent = append(p.sent, m)
	p.other.inbox = append(p.other.inbox, m)
}

func (p *peer) Flush(r Reply)              { p.replies = append(p.replies, r) }
func (p *peer) Version(v protocol.Version) { p.versions = append(p.versions, v) }
func (p *peer) SkipEarly(n int)            { p.skipped += n }
func (p *peer) Trace(v Event)              { p.m.given.Trace(v) }
func (p *peer) Finish()                    { p.finished++ }

func (p *peer) ConnectionIDs(c ConnectionIDs) error {
	p.ids = append(p.ids, c)
	return nil
}

func (p *peer) WriteKey(k TrafficKey) error {
	p.writes = append(p.writes, k)
	return nil
}

func (p *peer) ReadKey(k TrafficKey) error {
	if len(p.inbox) > 0 && p.inbox[0].Level < k.Level {
		return alert.Peerf(alert.UnexpectedMessage, "%v was written before the keys changed", p.inbox[0].Type)
	}
	p.reads = append(p.reads, k)
	return nil
}

func newest(keys []TrafficKey) uint64 {
	if len(keys) == 0 {
		return LevelPlain
	}
	return keys[len(keys)-1].Level
}

// newPair returns Machines that have not begun.
func newPair(t testing.TB, transport protocol.Transport, client, server *Config) *pair {
	t.Helper()
	p := &pair{client: &peer{t: t}, server: &peer{t: t}}
	p.client.other, p.server.other = p.server, p.client
	for role, c := range map[Role]*Config{Client: client, Server: server} {
		if err := c.Validate(role, transport); err != nil {
			t.Fatal(err)
		}
	}
	p.client.m = NewClient(client, transport, p.client)
	p.server.m = NewServer(server, transport, p.server)
	return p
}

// begin returns Machines whose client has begun.
func begin(t testing.TB, transport protocol.Transport, client, server *Config) *pair {
	t.Helper()
	p := newPair(t, transport, client, server)
	p.client.fail(p.client.m.Start(testTime))
	return p
}

// fail notes what ended a peer. ErrNotYet doesn't.
func (p *peer) fail(err error) {
	if err != nil && err != ErrNotYet && p.err == nil {
		p.err = err
	}
}

// work does what the Machine waits for, if anything.
func (p *peer) work() bool {
	w := p.m.Work()
	if w == nil {
		return false
	}
	p.works++
	w()
	p.fail(p.m.Resume(testTime))
	return true
}

// take hands a message to the Machine, and does the work that this needs.
func (p *peer) take(m Message) {
	err := p.m.Receive(m, testTime)
	for err == ErrNotYet && p.work() && p.err == nil {
		err = p.m.Receive(m, testTime)
	}
	p.fail(err)
	for p.err == nil && p.work() {
	}
}

// pop takes the first message off the inbox.
func (p *peer) pop() Message {
	m := p.inbox[0]
	p.inbox = p.inbox[1:]
	return m
}

// next takes the first message off the inbox and hands it over.
func (p *pair) next(to *peer) {
	m := to.pop()
	if p.onWay == nil {
		if m.Level != newest(to.reads) {
			to.t.Errorf("%v gets %v under level %d, its newest is %d", to.m.role, m.Type, m.Level, newest(to.reads))
		}
		to.take(m)
		return
	}
	for _, m := range p.onWay(to, m) {
		if to.err == nil {
			to.take(m)
		}
	}
}

// run goes on until nothing is left to do. Over datagrams all that arrived is
// then acknowledged.
func (p *pair) run() *pair {
	for busy := true; busy; {
		busy = false
		for _, to := range []*peer{p.client, p.server} {
			switch {
			case to.err != nil:
			case to.work():
				busy = true
			case len(to.inbox) > 0:
				p.next(to)
				busy = true
			case to.m.transport == protocol.Datagram && to.m.version.Is13() && to.m.Open() && to.m.unconfirmed && len(to.other.inbox) == 0 && to.other.err == nil:
				to.fail(to.m.Acked())
				busy = true
			}
		}
	}
	return p
}

// complete runs a handshake that must succeed.
func complete(t testing.TB, transport protocol.Transport, client, server *Config) *pair {
	t.Helper()
	p := begin(t, transport, client, server).run()
	p.expectAgreement(t)
	return p
}

// expectAgreement checks that both sides are open and tell the same.
func (p *pair) expectAgreement(t testing.TB) {
	t.Helper()
	c, s := p.client, p.server
	for _, side := range []*peer{c, s} {
		switch {
		case side.err != nil:
			t.Fatalf("%v: %v", side.m.role, side.err)
		case !side.m.Open():
			t.Fatalf("%v stands at %v (%v)", side.m.role, side.m.place.At, side.other.err)
		case side.finished != 1 || len(side.versions) != 1 || side.versions[0] != side.m.version:
			t.Fatalf("%v: Finish %d times, versions %v", side.m.role, side.finished, side.versions)
		}
	}
	if !slices.EqualFunc(c.writes, s.reads, sameKey) || !slices.EqualFunc(s.writes, c.reads, sameKey) {
		t.Fatal("the keys of writer and reader differ")
	}
	a, b := c.m.State(), s.m.State()
	if !a.DidResume && (a.PeerSignature != b.LocalSignature || a.LocalSignature != b.PeerSignature) {
		t.Errorf("signatures: client %v %v, server %v %v", a.LocalSignature, a.PeerSignature, b.LocalSignature, b.PeerSignature)
	}
	exports := [2][]byte{}
	for i, state := range []*ConnectionState{&a, &b} {
		secret, err := state.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 40)
		if err != nil && state.ExtendedMasterSecret {
			t.Fatal(err)
		}
		exports[i] = secret
		state.PeerCertificates, state.VerifiedChains, state.export, state.exportEarly = nil, nil, nil, nil
		state.PeerSignature, state.LocalSignature, state.LocalCredential = 0, 0, nil
		state.OCSPResponse, state.SignedCertificateTimestamps = nil, nil
	}
	if got, want := fmt.Sprint(a), fmt.Sprint(b); got != want {
		t.Errorf("states differ:\nclient %s\nserver %s", got, want)
	}
	if !bytes.Equal(exports[0], exports[1]) {
		t.Error("exporters differ")
	}
}

func sameKey(a, b TrafficKey) bool {
	return a.Level == b.Level && a.Suite == b.Suite && len(a.Key.Key) > 0 &&
		bytes.Equal(a.Key.Key, b.Key.Key) && bytes.Equal(a.Key.IV, b.Key.IV) && bytes.Equal(a.Key.Number, b.Key.Number)
}

// fork returns a copy that goes its own way.
func (p *pair) fork() *pair {
	f := &pair{client: p.client.fork(), server: p.server.fork()}
	f.client.other, f.server.other = f.server, f.client
	return f
}

func (p *peer) fork() *peer {
	c := *p
	m := *p.m
	c.m, m.layer = &m, &c
	c.inbox, c.sent = slices.Clone(p.inbox), slices.Clone(p.sent)
	c.writes, c.reads = slices.Clone(p.writes), slices.Clone(p.reads)
	c.replies, c.versions = slices.Clone(p.replies), slices.Clone(p.versions)
	m.peer, m.secrets12, m.secrets13 = copied(m.peer), copied(m.secrets12), copied(m.secrets13)
	if m.scaffold = copied(m.scaffold); m.scaffold == nil {
		return &c
	}
	m.transcript.held, m.transcript.raw = slices.Clone(m.transcript.held), slices.Clone(m.transcript.raw)
	m.hello.offered = slices.Clone(m.hello.offered)
	m.random.server = slices.Clone(m.random.server)
	if m.transcript.hash != nil {
		hashed, err := m.transcript.hash.(hash.Cloner).Clone()
		if err != nil {
			p.t.Fatal(err)
		}
		m.transcript.hash = hashed
	}
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// alertOf is the alert of an error; close_notify, which is none, if it has none.
func alertOf(err error) alert.Alert {
	if a, ok := errors.AsType[*alert.Error](err); ok {
		return a.Alert
	}
	return alert.CloseNotify
}

// expectAlert checks the alert of an error.
func expectAlert(t testing.TB, err error, want ...alert.Alert) {
	t.Helper()
	if !slices.Contains(want, alertOf(err)) {
		t.Errorf("error %v, expected one of %v", err, want)
	}
}

// expectRefused checks that a peer gave up with an alert, before it was open.
func (p *peer) expectRefused(t testing.TB, want ...alert.Alert) {
	t.Helper()
	expectAlert(t, p.err, want...)
	if p.m.Open() || p.finished != 0 {
		t.Errorf("%v is open in spite of %v", p.m.role, p.err)
	}
}

// --- Certificates and Configs

// testTime is when all tests happen.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const testName = "server.example"

// A kind of key that certificates have.
type keyKind string

const (
	p256    keyKind = "P-256"
	p384    keyKind = "P-384"
	p521    keyKind = "P-521"
	edwards keyKind = "Ed25519"
	rsaKey  keyKind = "RSA"
)

var keyKinds = []keyKind{p256, p384, p521, edwards, rsaKey}

type pki struct {
	root     tls.Certificate
	roots    *x509.CertPool
	leaf     map[keyKind]tls.Certificate
	stranger tls.Certificate // of nobody's root
}

// testPKI is shared: keys are slow to make.
var testPKI = sync.OnceValue(func() *pki {
	root := issue("root", nil, newKey(p256))
	other := issue("another root", nil, newKey(p256))
	p := &pki{root: root, roots: x509.NewCertPool(), leaf: map[keyKind]tls.Certificate{}}
	p.roots.AddCert(root.Leaf)
	for _, kind := range keyKinds {
		p.leaf[kind] = issue(testName, &root, newKey(kind))
	}
	p.stranger = issue(testName, &other, newKey(p256))
	return p
})

func newKey(kind keyKind) crypto.Signer {
	var key crypto.Signer
	var err error
	switch kind {
	case p256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case p384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case p521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case edwards:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case rsaKey:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err)
	}
	return key
}

// issue makes a certificate; without an issuer, a root.
func issue(name string, issuer *tls.Certificate, key crypto.Signer) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             testTime.AddDate(-1, 0, 0),
		NotAfter:              testTime.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:              []string{name},
		BasicConstraintsValid: true,
	}
	if _, ok := key.(*rsa.PrivateKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment // for key transport
	}
	parent, signer := template, key
	if issuer == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	} else {
		parent, signer = issuer.Leaf, issuer.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func clock() time.Time { return testTime }

// configs returns a client and a server that trust each other, for one version
// or, for zero, for both. One group, without ML-KEM, keeps them quick.
func configs(v protocol.Version) (client, server *Config) {
	p := testPKI()
	client = &Config{
		Time: clock, RootCAs: p.roots, ServerName: testName,
		MinVersion: uint16(v), MaxVersion: uint16(v),
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, // P-256 for 1.2's certificates
	}
	server = &Config{
		Time: clock, ClientCAs: p.roots, Certificates: []tls.Certificate{p.leaf[p256]},
		MinVersion: uint16(v), MaxVersion: uint16(v),
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
	return client, server
}

// authenticated makes the client show a certificate.
func authenticated(client, server *Config) {
	client.Certificates = []tls.Certificate{testPKI().leaf[edwards]}
	server.ClientAuth = tls.RequireAndVerifyClientCert
}

// The four protocols.
var protocols = []struct {
	name      string
	transport protocol.Transport
	version   protocol.Version
}{
	{"TLS 1.2", protocol.Stream, protocol.VersionTLS12},
	{"TLS 1.3", protocol.Stream, protocol.VersionTLS13},
	{"DTLS 1.2", protocol.Datagram, protocol.VersionDTLS12},
	{"DTLS 1.3", protocol.Datagram, protocol.VersionDTLS13},
}

func eachProtocol(t *testing.T, test func(t *testing.T, transport protocol.Transport, v protocol.Version)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { test(t, p.transport, p.version) })
	}
}

func eachTransport(t *testing.T, test func(t *testing.T, transport protocol.Transport)) {
	t.Run("stream", func(t *testing.T) { test(t, protocol.Stream) })
	t.Run("datagram", func(t *testing.T) { test(t, protocol.Datagram) })
}

// appended is what a message's Append appends.
func appended(appendTo func(*wire.Builder)) []byte {
	var b wire.Builder
	appendTo(&b)
	body, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	return body
}
