package dtls

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A simulation is two Engines, a link between them, and a clock that jumps from
// one event to the next. Nothing in it waits, and everything follows from its
// seed and the seed of the global randomness.
type simulation struct {
	t              testing.TB
	now            time.Time
	random         *rand.Rand
	client, server *side
	air            []*parcel // datagrams under way
	sent           []*parcel // all that were sent, in order

	// fate says when copies of a datagram arrive, each so long after it was
	// sent; none at all is a loss.
	fate func(*parcel) []time.Duration
	// workTime is how long work outside of an Engine takes; nil: no time.
	workTime func() time.Duration
}

// A side is an Engine with what its application would have.
type side struct {
	*Engine
	s      *simulation
	peer   *side
	name   string
	events []Event                // if traced
	read   [][]byte               // application data, in order of arrival
	epochs map[uint64]*writeEpoch // all that it has written in
	work   func()                 // under way
	doneAt time.Time
	err    error
	at     Path // where the peer sees it
	room   int  // of the buffer for its datagrams; zero: enough
}

// A parcel is one datagram.
type parcel struct {
	index int // how many were sent before it
	from  *side
	data  []byte
	by    Path // from there
	to    Path
	left  time.Time
	at    time.Time // of its arrival
}

func newSide(s *simulation, name string) *side {
	return &side{s: s, name: name, epochs: map[uint64]*writeEpoch{}}
}

const latency = 10 * time.Millisecond

// prompt is the fate of every datagram on a perfect link.
func prompt(*parcel) []time.Duration { return []time.Duration{latency} }

// losing is the fate on a link that loses the datagrams that lost is true for.
func losing(lost func(*parcel) bool) func(*parcel) []time.Duration {
	return func(p *parcel) []time.Duration {
		if lost(p) {
			return nil
		}
		return prompt(p)
	}
}

// fated is the option that sets a fate from the first datagram on.
func fated(fate func(*parcel) []time.Duration) func(*simulation) {
	return func(s *simulation) { s.fate = fate }
}

var epochOfSimulation = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// simulate returns a simulation in which the client has just been started, on
// a link and with whatever else the options set.
func simulate(t testing.TB, seed uint64, client, server *Config, options ...func(*simulation)) *simulation {
	t.Helper()
	s := &simulation{t: t, now: epochOfSimulation, random: rand.New(rand.NewPCG(seed, 1)), fate: prompt}
	s.client, s.server = newSide(s, "client"), newSide(s, "server")
	s.client.peer, s.server.peer = s.server, s.client
	c, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewServerEngine(server)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Engine, s.server.Engine = c, e
	for _, option := range options {
		option(s)
	}
	s.server.did(nil)
	s.client.did(c.Start(s.now))
	return s
}

// traced is simulate, and both sides note their events.
func traced(t testing.TB, client, server *Config, options ...func(*simulation)) *simulation {
	t.Helper()
	c, v := *client, *server
	var s *simulation
	c.Trace = func(e Event) { s.client.note(e) }
	v.Trace = func(e Event) { s.server.note(e) }
	return simulate(t, 0, &c, &v, append(options, func(made *simulation) { s = made })...)
}

func (d *side) note(e Event) {
	e.Numbers = slices.Clone(e.Numbers)
	d.events = append(d.events, e)
}

// acks are the ACKs that d sent, by their record numbers.
func (d *side) acks() (sent [][]protocol.RecordNumber) {
	for _, e := range d.events {
		if e.Kind == handshake.EventACK && e.Direction == handshake.Sent {
			sent = append(sent, e.Numbers)
		}
	}
	return sent
}

// did follows every call into an Engine: it notes its error, starts work that
// waits, and sends.
func (d *side) did(err error) {
	if d.err == nil {
		d.err = err
	}
	for _, w := range d.writes {
		d.epochs[w.number] = w
	}
	if d.reserve != nil {
		d.drain() // what waited for the Store
	}
	if work := d.Work(); work != nil && d.work == nil {
		if d.s.workTime != nil {
			d.work, d.doneAt = work, d.s.now.Add(d.s.workTime())
		} else {
			work()
			d.did(d.Resume(d.s.now))
			return
		}
	}
	d.transmit()
}

// transmit gives the link all that the Engine has to send.
func (d *side) transmit() {
	buf := make([]byte, cmp.Or(d.room, max(1500, d.config.MaxMTU)))
	sent := len(d.s.sent)
	for n, to := d.TransmitTo(buf); n > 0; n, to = d.TransmitTo(buf) {
		if d.s.send(d, buf[:n], to); len(d.s.sent) > sent+1000 {
			d.s.t.Fatalf("%s: sends without end", d.name)
		}
	}
	if d.Pending() {
		d.s.t.Fatalf("%s: Pending, and yet Transmit gave nothing", d.name)
	}
}

func (s *simulation) send(from *side, b []byte, to Path) {
	p := &parcel{index: len(s.sent), from: from, data: bytes.Clone(b), by: from.at, to: to, left: s.now}
	s.sent = append(s.sent, p)
	for _, delay := range s.fate(p) {
		copied := *p
		copied.at = s.now.Add(delay)
		s.air = append(s.air, &copied)
	}
}

// receive gives the Engine one datagram from its peer, and reads what was in it.
func (d *side) receive(b []byte) { d.receiveFrom(b, d.peer.at) }

func (d *side) receiveFrom(b []byte, from Path) {
	err := d.ReceiveFrom(bytes.Clone(b), from, d.s.now)
	p := make([]byte, len(b))
	for {
		n, ok := d.Read(p)
		if !ok {
			break
		}
		d.read = append(d.read, bytes.Clone(p[:n]))
	}
	d.did(err)
}

// step moves the clock to the next event and lets it happen. It returns false
// if nothing is going to.
func (s *simulation) step() bool {
	var next time.Time
	var happen func()
	earliest := func(t time.Time, f func()) {
		if !t.IsZero() && (happen == nil || t.Before(next)) {
			next, happen = t, f
		}
	}
	for i, p := range s.air {
		earliest(p.at, func() {
			s.air = append(s.air[:i:i], s.air[i+1:]...)
			if d := p.from.peer; p.to == d.at { // else nobody is there
				d.receiveFrom(p.data, p.by)
			}
		})
	}
	for _, d := range []*side{s.client, s.server} {
		earliest(d.Deadline(), func() { d.did(d.Expire(s.now)) })
		if d.work != nil {
			earliest(d.doneAt, func() {
				d.work()
				d.work = nil
				d.did(d.Resume(s.now))
			})
		}
	}
	if happen == nil {
		return false
	}
	if next.After(s.now) {
		s.now = next
	}
	happen()
	return true
}

// patience is how long, in virtual time, anything may take. Thirteen expiries
// are less.
const patience = 20 * time.Minute

// run goes on until done or until nothing moves any more. It fails if an Engine
// does.
func (s *simulation) run(done func() bool) error {
	limit := s.now.Add(patience)
	for !done() {
		for _, d := range []*side{s.client, s.server} {
			if d.err != nil {
				return fmt.Errorf("%s: %w", d.name, d.err)
			}
		}
		if !s.step() {
			return errors.New("nothing moves any more")
		}
		if s.now.After(limit) {
			return errors.New("it takes too long")
		}
	}
	return nil
}

// advance lets the time pass, with all that happens in it.
func (s *simulation) advance(d time.Duration) {
	end := s.now.Add(d)
	for s.nextEvent(end) && s.step() {
	}
	s.now = end
}

func (s *simulation) nextEvent(end time.Time) bool {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(end) }
	for _, p := range s.air {
		if due(p.at) {
			return true
		}
	}
	for _, d := range []*side{s.client, s.server} {
		if due(d.Deadline()) || d.work != nil && due(d.doneAt) {
			return true
		}
	}
	return false
}

// open reports whether both sides are.
func (s *simulation) open() bool { return s.client.Open() && s.server.Open() }

// quiet reports whether both sides are open and nobody has anything left to do.
func (s *simulation) quiet() bool {
	return s.open() && len(s.air) == 0 && s.client.work == nil && s.server.work == nil && s.client.Deadline().IsZero() && s.server.Deadline().IsZero()
}

// settle runs until all is quiet, and fails the test if that doesn't come.
func (s *simulation) settle() {
	s.t.Helper()
	if err := s.run(s.quiet); err != nil {
		s.t.Fatal(err)
	}
}

// seal makes a datagram of one record of application data.
func (d *side) seal(data string) []byte {
	d.s.t.Helper()
	buf := make([]byte, len(data)+maxOverhead)
	n, err := d.Write(buf, []byte(data), d.s.now)
	if errors.Is(err, ErrNotReserved) {
		d.did(nil) // as a Conn waits
		n, err = d.Write(buf, []byte(data), d.s.now)
	}
	if err != nil {
		d.s.t.Fatalf("%s: Write: %v", d.name, err)
	}
	d.did(nil)
	return buf[:n]
}

// exchange checks that data flows both ways.
func (s *simulation) exchange() {
	s.t.Helper()
	for _, d := range []*side{s.client, s.server} {
		before := len(d.peer.read)
		want := fmt.Sprintf("from the %s, %d", d.name, before)
		d.peer.receive(d.seal(want))
		if got := d.peer.read[before:]; len(got) != 1 || string(got[0]) != want {
			s.t.Fatalf("%s: read %q, want %q (%v)", d.peer.name, got, want, d.peer.Err())
		}
	}
}

// established returns a simulation after its handshake.
func established(t testing.TB, client, server *Config) *simulation {
	t.Helper()
	s := simulate(t, 0, client, server)
	s.settle()
	s.exchange()
	s.client.read, s.server.read, s.sent = nil, nil, nil
	return s
}

// --- Configurations

// testIdentity is a root and two leaves that it signed, the same in every run,
// so that a seed means the same everywhere.
var testIdentity = sync.OnceValue(func() (id struct {
	roots          *x509.CertPool
	client, server tls.Certificate
}) {
	root, rootKey := issue(1, "root", nil, nil)
	id.roots = x509.NewCertPool()
	id.roots.AddCert(root)
	for serial, c := range map[int64]*tls.Certificate{2: &id.server, 3: &id.client} {
		leaf, key := issue(serial, "leaf.example", root, rootKey)
		*c = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	}
	return id
})

func issue(serial int64, name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	scalar := bytes.Repeat([]byte{byte(serial)}, 32)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             epochOfSimulation.Add(-time.Hour),
		NotAfter:              epochOfSimulation.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, signer = template, key
	} else {
		template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(nil, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c, key
}

// A setting is one configuration of client and server.
type setting struct {
	name   string
	change func(client, server *Config)
}

// with applies the changes to fresh Configs: DTLS 1.3, X25519, no client
// certificate.
func with(changes ...func(client, server *Config)) (client, server *Config) {
	id := testIdentity()
	clock := func() time.Time { return epochOfSimulation }
	client = &Config{Time: clock, RootCAs: id.roots, ServerName: "leaf.example", CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}
	server = &Config{Time: clock, Certificates: []tls.Certificate{id.server}, CurvePreferences: []tls.CurveID{tls.X25519}}
	for _, change := range changes {
		change(client, server)
	}
	return client, server
}

func only12(client, server *Config) {
	client.MaxVersion, server.MaxVersion = VersionDTLS12, VersionDTLS12
}

func clientAuth(client, server *Config) {
	id := testIdentity()
	client.Certificates = []tls.Certificate{id.client}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, id.roots
}

func sharedKey(client, server *Config) {
	key := &ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or"), Use: PSKDirect}
	client.Credentials = []Credential{{PSK: key}}
	server.Credentials, server.Certificates = client.Credentials, nil
	server.SessionTicketsDisabled = true // a client of keys takes tickets, too, and acknowledges them late
}

// keyAlone is a key without a key exchange.
func keyAlone(client, server *Config) {
	sharedKey(client, server)
	client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = true, true
	server.CurvePreferences = []tls.CurveID{tls.CurveP384}
}

func retry(_, server *Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP256} }

func hybrid(client, server *Config) { client.CurvePreferences, server.CurvePreferences = nil, nil }

func mtu(size int) func(client, server *Config) {
	return func(client, server *Config) { client.MTU, server.MTU = size, size }
}

func cipherSuite(id uint16) func(client, server *Config) {
	return func(client, server *Config) {
		client.CipherSuites, server.CipherSuites = []uint16{id}, []uint16{id}
	}
}

func together(changes ...func(client, server *Config)) func(client, server *Config) {
	return func(client, server *Config) {
		for _, change := range changes {
			change(client, server)
		}
	}
}

// settings are the handshakes that every test of loss runs through.
var settings = []setting{
	{"1.3", together()},
	{"1.3, client certificate", clientAuth},
	{"1.3, HelloRetryRequest", retry},
	{"1.3, HelloRetryRequest, client certificate", together(retry, clientAuth)},
	{"1.3, hybrid", hybrid},
	{"1.3, only", func(client, server *Config) { client.MinVersion, server.MinVersion = VersionDTLS13, VersionDTLS13 }},
	{"1.3, external PSK, HelloRetryRequest", together(sharedKey, retry)},
	{"1.3, external PSK alone", keyAlone},
	{"1.3, connection IDs", identified(4, 8)},
	{"1.3, short headers", together(clientAuth, shortHeaders)},
	{"1.3, short headers, connection IDs", together(shortHeaders, identified(8, 3))},
	{"1.3, record_size_limit", together(clientAuth, recordSizeLimit(100, 200))},
	{"1.2", only12},
	{"1.2, connection IDs", together(only12, identified(4, 8))},
	{"1.2, PSK suite", together(only12, sharedKey)},
	{"1.2, max_fragment_length", together(only12, clientAuth, fragmentLength(512))},
	{"1.2, client certificate", together(only12, clientAuth)},
	{"1.2, staple and SRTP", together(only12, stapled)},
	{"1.2, server has 1.2 only", func(_, server *Config) { server.MaxVersion = VersionDTLS12 }},
	{"1.2, server has 1.2 only, client certificate, hybrid", together(hybrid, clientAuth, func(_, server *Config) { server.MaxVersion = VersionDTLS12 })},
	{"1.2, client has 1.2 only", func(client, _ *Config) { client.MaxVersion = VersionDTLS12 }},
}

// bothVersions runs f for 1.3 and 1.2.
func bothVersions(t *testing.T, f func(t *testing.T, version func(client, server *Config))) {
	t.Run("1.3", func(t *testing.T) { f(t, together()) })
	t.Run("1.2", func(t *testing.T) { f(t, only12) })
}

// RFC 9147 4.1 [1]
func TestHandshake(t *testing.T) {
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := simulate(t, 1, client, server)
			s.settle()
			s.exchange()
			if s.now.Sub(epochOfSimulation) > 10*latency {
				t.Errorf("took %v", s.now.Sub(epochOfSimulation))
			}
			want := VersionDTLS13
			if c.name[:3] == "1.2" {
				want = VersionDTLS12
			}
			for _, d := range []*side{s.client, s.server} {
				state := d.State()
				if state.Version != want || !state.HandshakeComplete {
					t.Errorf("%s: %v, complete %v", d.name, protocol.Version(state.Version), state.HandshakeComplete)
				}
				if d.ackDue || !d.ackSince.IsZero() {
					t.Errorf("%s: something is still to be acknowledged", d.name)
				}
				if retransmits := d.Stats().Retransmits; retransmits != 0 {
					t.Errorf("%s: %d retransmits on a perfect link", d.name, retransmits)
				}
				if d.Stats().Dropped != (DropStats{}) {
					t.Errorf("%s: dropped %+v on a perfect link", d.name, d.Stats().Dropped)
				}
			}
		})
	}
}

// protections are every way to protect records, by version and AEAD.
var protections = []setting{
	{"1.3 AES-128-GCM", cipherSuite(tls.TLS_AES_128_GCM_SHA256)},
	{"1.3 AES-256-GCM", cipherSuite(tls.TLS_AES_256_GCM_SHA384)},
	{"1.3 ChaCha20", cipherSuite(tls.TLS_CHACHA20_POLY1305_SHA256)},
	{"1.2 AES-128-GCM", together(only12, cipherSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))},
	{"1.2 AES-256-GCM", together(only12, cipherSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384))},
	{"1.2 ChaCha20", together(only12, cipherSuite(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256))},
	{"1.2 AES-128-CBC-SHA", together(only12, cipherSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA))},
	{"1.2 AES-128-CBC-SHA256", together(only12, cipherSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256))},
}
