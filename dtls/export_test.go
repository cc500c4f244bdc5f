package dtls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

var exportKey = bytes.Repeat([]byte{7}, blobKeySize)

// movable lets both sides go on elsewhere.
func movable(client, server *Config) {
	client.InsecureImportWithoutStore, server.InsecureImportWithoutStore = true, true
}

// move exports the side and imports it into an Engine of the same Config.
func (d *side) move() {
	d.s.t.Helper()
	config := d.config
	blob, err := d.Export(exportKey, d.s.now)
	if err != nil {
		d.s.t.Fatalf("%s: Export: %v", d.name, err)
	}
	d.s.resurrect(d, config, blob)
}

// resurrect goes on with a blob.
func (s *simulation) resurrect(d *side, config *Config, blob []byte) {
	s.t.Helper()
	e, err := ImportEngine(config, blob, exportKey, s.now)
	if err != nil {
		s.t.Fatalf("%s: Import: %v", d.name, err)
	}
	d.Engine, d.work = e, nil
	d.drain()
	d.did(nil)
}

// drain reads what is there.
func (d *side) drain() {
	p := make([]byte, 1<<14)
	for n, ok := d.Read(p); ok; n, ok = d.Read(p) {
		d.read = append(d.read, bytes.Clone(p[:n]))
	}
}

// sides runs f for both sides of a simulation.
func (s *simulation) sides() []*side { return []*side{s.client, s.server} }

// A connection goes on with every protection, moved to and fro, and its keys are
// changed after it as before.
func TestExport(t *testing.T) {
	for _, p := range protections {
		t.Run(p.name, func(t *testing.T) {
			client, server := with(movable, clientAuth, p.change)
			s := established(t, client, server)
			for range 3 {
				for _, d := range s.sides() {
					d.move()
					s.exchange()
					s.client.read, s.server.read = nil, nil
					if !d.version.Is13() {
						continue
					}
					d.did(d.KeyUpdate(UpdateRequested, s.now))
					s.settle()
					s.exchange()
					s.settle()
				}
			}
			if want := uint64(9); s.client.version.Is13() && s.client.newest().number != want {
				t.Errorf("the client is in epoch %d, expected %d", s.client.newest().number, want)
			}
		})
	}
}

// What a connection is known by is the same on, but for what Export says it isn't.
func TestExportedState(t *testing.T) {
	named := func(client, server *Config) {
		client.NextProtos, server.NextProtos = []string{"coap"}, []string{"coap"}
	}
	small := func(client, server *Config) {
		identified(3, 5)(client, server)
		client.RecordSizeLimit, server.RecordSizeLimit = 100, 200
	}
	all := append(slices.Concat(settings, resumptions), setting{"1.3, small", small}, setting{"1.2, small", together(only12, small)})
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(movable, c.change, named)
			for range 2 { // the second may be resumed
				s := established(t, client, server)
				for _, d := range s.sides() {
					before := d.State()
					d.move()
					after := d.State()
					for _, context := range [][]byte{nil, {}, {1}} {
						one, err := before.ExportKeyingMaterial("EXPORTER-test", context, 20)
						two, err2 := after.ExportKeyingMaterial("EXPORTER-test", context, 20)
						if err != nil || err2 != nil || !bytes.Equal(one, two) {
							t.Errorf("%s: keying material %x, %v; then %x, %v", d.name, one, err, two, err2)
						}
					}
					if len(after.VerifiedChains) > 0 || after.LocalCredential != nil {
						t.Errorf("%s: something is known that wasn't written", d.name)
					}
					before.VerifiedChains, before.LocalCredential, before.TicketAgeSkew = nil, nil, 0
					if one, two := fmt.Sprintf("%+v", comparable(before)), fmt.Sprintf("%+v", comparable(after)); one != two {
						t.Errorf("%s: the state was %s\nand is %s", d.name, one, two)
					}
				}
				s.exchange()
			}
		})
	}
}

// comparable is a state without functions.
func comparable(s ConnectionState) any {
	var raw [][]byte
	for _, c := range s.PeerCertificates {
		raw = append(raw, c.Raw)
	}
	return []any{raw, s.Version, s.HandshakeComplete, s.DidResume, s.CipherSuite, s.CurveID, s.NegotiatedProtocol, s.SRTPProfile, s.SRTPMasterKeyIdentifier,
		s.ServerName, s.OCSPResponse, s.PeerRawPublicKey, s.ECHAccepted, s.HelloRetryRequest, s.PeerSignature, s.LocalSignature,
		s.PSKIdentity, s.ExtendedMasterSecret, s.EarlyDataAccepted, s.EarlyDataReason, s.EarlyBytes, s.SecureRenegotiation, s.TLSUnique,
		s.LocalConnectionID, s.RemoteConnectionID, s.ReturnRoutability, s.MaxPlaintext}
}

// Both sides move after every single event from the moment they are open, whatever
// flight is in the air, with loss and without: last flights, ACKs, tickets and
// KeyUpdates survive.
func TestExportAtEveryStep(t *testing.T) {
	for _, c := range append(settings, resumptions...) {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(max(1, runs(50))) {
				client, server := with(movable, mtu(handshake.DefaultMTU), c.change)
				options := []func(*simulation){}
				if seed > 0 {
					options = append(options, stormy)
				}
				s := simulate(t, seed, client, server, options...)
				moved, updates := 0, 0
				err := s.run(func() bool {
					for _, d := range s.sides() {
						if d.Open() {
							d.move()
							moved++
						}
						if d.Open() && d.version.Is13() && updates < 4 {
							updates++
							d.did(d.KeyUpdate(UpdateRequested, s.now))
						}
					}
					return s.quiet()
				})
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if moved == 0 {
					t.Fatal("nothing was moved")
				}
				s.exchange()
			}
		})
	}
}

// A flight that was lost comes again from where the connection goes on, and what is
// acknowledged of it does not.
func TestExportWithFlight(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(movable, resuming, version)
		s := simulate(t, 0, client, server)
		var lost int
		s.fate = losing(func(p *parcel) bool { // what the server says once it is open
			gone := p.from == s.server && s.server.Open()
			if gone {
				lost++
			}
			return gone
		})
		if err := s.run(func() bool { return lost > 0 }); err != nil {
			t.Fatal(err)
		}
		s.server.move()
		if s.server.flight.Empty() {
			t.Fatal("the flight is gone")
		}
		s.fate = prompt
		s.settle()
		s.exchange()
		if s.server.Stats().Retransmits == 0 {
			t.Error("nothing was repeated")
		}
	})
}

// What came and wasn't read is there after it, in order.
func TestExportUnread(t *testing.T) {
	client, server := with(movable)
	s := established(t, client, server)
	buf := make([]byte, 0, 1500)
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("message %d", i))
		buf = append(buf, s.client.seal(want[i])...)
	}
	if err := s.server.Receive(buf, s.now); err != nil {
		t.Fatal(err)
	}
	s.server.move()
	var got []string
	for _, p := range s.server.read {
		got = append(got, string(p))
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %q", got)
	}
}

// A fragment that was acknowledged does not come again: it moves, too.
func TestExportHalfMessage(t *testing.T) {
	client, server := with(movable, resuming, mtu(handshake.MinMTU))
	first := true
	s := simulate(t, 0, client, server)
	s.fate = losing(func(p *parcel) bool { // all of the tickets but their first datagram
		if p.from != s.server || !s.server.Open() || !first {
			return p.from == s.server && s.server.Open()
		}
		first = false
		return false
	})
	if err := s.run(func() bool { return s.client.Open() && s.client.assembler.Pending() }); err != nil {
		t.Fatal(err)
	}
	s.client.move()
	if !s.client.assembler.Pending() {
		t.Fatal("the fragment is gone")
	}
	s.fate = prompt
	s.settle()
	if _, ok := client.ClientSessionCache.Get("dtls leaf.example"); !ok {
		t.Error("no ticket came")
	}
}

// After Export nothing goes out and nothing comes in.
func TestExportStops(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(movable, version)
		s := established(t, client, server)
		if _, err := s.server.Export(exportKey, s.now); err != nil {
			t.Fatal(err)
		}
		record := s.client.seal("late")
		for what, err := range map[string]error{
			"Receive":   s.server.Receive(record, s.now),
			"KeyUpdate": s.server.KeyUpdate(UpdateNotRequested, s.now),
			"Expire":    s.server.Expire(s.now.Add(time.Hour)),
			"Resume":    s.server.Resume(s.now),
			"Closed":    s.server.Closed(),
		} {
			if err != ErrExported {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := s.server.Write(make([]byte, 100), nil, s.now); err != ErrExported {
			t.Errorf("Write: %v", err)
		}
		if _, err := s.server.Export(exportKey, s.now); err != ErrExported {
			t.Errorf("Export: %v", err)
		}
		s.server.Close(s.now)
		s.server.Abort(0, s.now)
		if n := s.server.Transmit(make([]byte, 1500)); n > 0 || !s.server.Deadline().IsZero() {
			t.Errorf("%d bytes go out, the deadline is %v", n, s.server.Deadline())
		}
	})
}

// Export refuses what it can't do, and then nothing has changed.
func TestExportRefuses(t *testing.T) {
	client, server := with(movable)
	s := simulate(t, 0, client, server)
	if _, err := s.client.Export(exportKey, s.now); err != errNotOpen {
		t.Errorf("before the handshake: %v", err)
	}
	s.settle()
	for _, key := range [][]byte{nil, exportKey[:31], append(exportKey, 0)} {
		if _, err := s.client.Export(key, s.now); err == nil {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
	s.exchange()
	s.client.Close(s.now)
	if _, err := s.client.Export(exportKey, s.now); err != errClosed {
		t.Errorf("after Close: %v", err)
	}
}

// A blob that is not the one is refused, and the error says why.
func TestImportRefuses(t *testing.T) {
	client, server := with(movable)
	s := established(t, client, server)
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, want error, config *Config, blob, key []byte) {
		t.Helper()
		if e, err := ImportEngine(config, blob, key, s.now); e != nil || want != nil && !errors.Is(err, want) || err == nil {
			t.Errorf("%s: %v, expected %v", what, err, want)
		}
	}
	for n := range blob {
		refused(fmt.Sprintf("%d bytes", n), ErrBlobTruncated, server, blob[:n], exportKey)
	}
	for i := range blob {
		altered := bytes.Clone(blob)
		altered[i] ^= 1
		want := ErrBlobAltered
		switch {
		case i == 0:
			want = ErrBlobVersion
		case i < 1+checkSize+saltSize:
			want = ErrBlobKey
		case i < blobHeader:
			want = nil // it may say that more follows
		}
		refused(fmt.Sprintf("byte %d altered", i), want, server, altered, exportKey)
	}
	refused("a byte more", ErrBlobAltered, server, append(bytes.Clone(blob), 0), exportKey)
	refused("another key", ErrBlobKey, server, blob, bytes.Repeat([]byte{8}, blobKeySize))
	refused("a short key", nil, server, blob, exportKey[:5])
	refused("a client's Config", ErrBlobRole, client, blob, exportKey)
	var bad *ConfigError
	broken := *server
	broken.MTU = 1
	if _, err := ImportEngine(&broken, blob, exportKey, s.now); !errors.As(err, &bad) || bad.Field != "MTU" {
		t.Errorf("a bad Config: %v", err)
	}
	older := *server
	older.MaxVersion = tls.VersionTLS12
	refused("a Config without 1.3", ErrBlobConfig, &older, blob, exportKey)
	careful := *server
	careful.InsecureImportWithoutStore = false
	refused("no Store", ErrNoStore, &careful, blob, exportKey)

	s.resurrect(s.server, server, blob) // it was not harmed
	s.exchange()
}

// What a key has done and met before counts on.
func TestExportKeepsLimits(t *testing.T) {
	client, server := with(movable)
	s := established(t, client, server)
	forged := s.client.seal("forged")
	forged[len(forged)-1] ^= 1
	s.server.receive(forged)
	records, blocks := s.client.newest().sealer.Sealed()
	failed := s.server.reads[len(s.server.reads)-1].opener.Failed()
	s.client.move()
	s.server.move()
	if r, b := s.client.newest().sealer.Sealed(); r != records || b != blocks || r == 0 {
		t.Errorf("%d records and %d blocks became %d and %d", records, blocks, r, b)
	}
	if f := s.server.reads[len(s.server.reads)-1].opener.Failed(); f != failed || f != 1 {
		t.Errorf("%d forgeries became %d", failed, f)
	}
}

// A replay from before is one after.
func TestExportKeepsWindow(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(movable, version)
		s := established(t, client, server)
		old, late := s.client.seal("old"), s.client.seal("late")
		s.server.receive(old)
		s.server.move()
		s.server.receive(old)
		s.server.receive(late)
		if len(s.server.read) != 2 || s.server.Stats().Dropped.Replay != 1 {
			t.Errorf("read %q, dropped %+v", s.server.read, s.server.Stats().Dropped)
		}
	})
}

// A clock that is behind makes nothing wait for longer than it would.
func TestImportClockBehind(t *testing.T) {
	client, server := with(movable, resuming)
	s := simulate(t, 0, client, server)
	if err := s.run(func() bool { return s.server.Open() }); err != nil {
		t.Fatal(err)
	}
	config := s.server.config
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	now := s.now.Add(-time.Hour)
	e, err := ImportEngine(config, blob, exportKey, now)
	if err != nil {
		t.Fatal(err)
	}
	if late := e.Deadline().Sub(now); late <= 0 || late > e.backoff.Timeout() {
		t.Errorf("the flight is repeated in %v", late)
	}
	for _, r := range e.reads {
		if r.dies.After(now.Add(lifetime)) {
			t.Errorf("epoch %d lives until %v", r.number, r.dies.Sub(now))
		}
	}
}

// FuzzImport reads any state, and what can be read can be written again.
func FuzzImport(f *testing.F) {
	configs := map[bool][2]*Config{}
	for _, version := range []bool{false, true} {
		change := together()
		if version {
			change = only12
		}
		client, server := with(movable, change)
		configs[version] = [2]*Config{client, server}
		s := simulate(f, 0, client, server)
		if err := s.run(s.open); err != nil {
			f.Fatal(err)
		}
		for _, d := range s.sides() {
			c := wire.NewEncoder()
			d.code(c, new([][]byte))
			b, err := c.Finish()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(d == s.server, b)
		}
	}
	f.Fuzz(func(t *testing.T, server bool, b []byte) {
		role, config := handshake.Client, configs[false][0]
		if server {
			role, config = handshake.Server, configs[false][1]
		}
		e, err := readEngine(config, role, wire.NewDecoder(b), epochOfSimulation)
		if err != nil {
			return
		}
		e.Receive([]byte{22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3}, epochOfSimulation)
		e.Transmit(make([]byte, 1500))
		if e.Err() == nil && e.machine.Open() {
			c := wire.NewEncoder()
			e.code(c, new([][]byte))
			if _, err := c.Finish(); err != nil {
				t.Errorf("what was read can't be written: %v", err)
			}
		}
	})
}

// FuzzOpenBlob: nothing opens but what sealBlob gave.
func FuzzOpenBlob(f *testing.F) {
	blob, err := sealBlob(exportKey, []byte("state"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Fuzz(func(t *testing.T, b []byte) {
		if state, err := openBlob(exportKey, b); err == nil && string(state) != "state" {
			t.Errorf("%x opens to %q", b, state)
		}
	})
}

// A Config without ConnectionIDs goes on with those that there are, and has no new
// ones to give.
func TestImportWithoutConnectionIDs(t *testing.T) {
	client, server := with(movable, identified(8, 8))
	s := established(t, client, server)
	config := *server
	config.ConnectionIDs = nil
	s.server.config = &config
	s.server.move()
	s.exchange()
	s.client.did(s.client.RotateConnectionIDs(s.now)) // asks for new ones
	s.settle()
	s.exchange()
	s.server.did(s.server.RotateConnectionIDs(s.now))
	s.settle()
	s.exchange()
}

// TestImportRefusesState what no Engine is, though each part of it can be read.
func TestImportRefusesState(t *testing.T) {
	for what, spoil := range map[string]func(e *Engine){
		"no ID where one is used":   func(e *Engine) { e.ids.used = 2 },
		"more IDs than anybody has": func(e *Engine) { e.ids.spare = make([][]byte, maxIDs+1) },
		"no keys to read with":      func(e *Engine) { e.reads = nil },
		"no keys to write with":     func(e *Engine) { e.writes = nil },
		"a timer without a timeout": func(e *Engine) { e.measure = &measure{} },
	} {
		client, server := with(movable, func(client, server *Config) { client.AdaptiveTimeout = true })
		s := established(t, client, server)
		read := func() error {
			c := wire.NewEncoder()
			s.client.code(c, new([][]byte))
			b, err := c.Finish()
			if err != nil {
				return err
			}
			_, err = readEngine(client, handshake.Client, wire.NewDecoder(b), s.now)
			return err
		}
		if err := read(); err != nil {
			t.Fatalf("%s: unspoiled: %v", what, err)
		}
		spoil(s.client.Engine)
		if err := read(); !errors.Is(err, ErrBlobVersion) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// An address or a key that is none can't be written, but may be read.
func TestImportRefusesParts(t *testing.T) {
	for what, c := range map[string]struct {
		write func(c *wire.Codec)
		read  func(c *wire.Codec)
	}{
		"an address": {
			func(c *wire.Codec) { text := "nowhere"; c.Text(&text) },
			func(c *wire.Codec) { new(paths).code(c) },
		},
		"a key to read with": {
			func(c *wire.Codec) { codeKey(c, &handshake.TrafficKey{Level: 3}); wire.Number(c, new(uint64)) },
			func(c *wire.Codec) { new(readEpoch).code(c, suite.ByID(suite.TLS_AES_128_GCM_SHA256)) },
		},
		"a key to write with": {
			func(c *wire.Codec) {
				codeKey(c, &handshake.TrafficKey{Level: 3})
				for range 4 {
					wire.Number(c, new(uint64))
				}
			},
			func(c *wire.Codec) { new(writeEpoch).code(c, suite.ByID(suite.TLS_AES_128_GCM_SHA256)) },
		},
		"a role": {
			func(c *wire.Codec) {},
			func(c *wire.Codec) { validateImport(&Config{}, 7, c) },
		},
	} {
		encoder := wire.NewEncoder()
		c.write(encoder)
		b, err := encoder.Finish()
		if err != nil {
			t.Fatal(err)
		}
		decoder := wire.NewDecoder(b)
		if c.read(decoder); !errors.Is(decoder.Err(), wire.ErrState) {
			t.Errorf("%s: %v", what, decoder.Err())
		}
	}
}
