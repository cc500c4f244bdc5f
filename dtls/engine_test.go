package dtls

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func testConfigs(t testing.TB, v protocol.Version) (client, server *Config) {
	c, err := cert.SelfSigned(time.Now(), "server.example")
	if err != nil {
		t.Fatal(err)
	}
	server = &Config{Certificates: []tls.Certificate{c}, MinVersion: uint16(v), MaxVersion: uint16(v)}
	client = &Config{InsecureSkipVerify: true, ServerName: "server.example", MinVersion: uint16(v), MaxVersion: uint16(v)}
	return
}

func work(t testing.TB, e *Engine, now time.Time) {
	for w := e.Work(); w != nil; w = e.Work() {
		w()
		if err := e.Resume(now); err != nil {
			t.Fatalf("%v: %v", e.machine.Role(), err)
		}
	}
}

func pump(t testing.TB, from, to *Engine, now time.Time) (n int) {
	buf := make([]byte, 2048)
	for {
		k := from.Transmit(buf)
		if k == 0 {
			return n
		}
		n++
		if err := to.Receive(append([]byte(nil), buf[:k]...), now); err != nil {
			t.Fatalf("%v: %v", to.machine.Role(), err)
		}
		work(t, to, now)
	}
}

func TestFirst(t *testing.T) {
	for _, v := range []protocol.Version{protocol.VersionDTLS13, protocol.VersionDTLS12} {
		cc, sc := testConfigs(t, v)
		cc.Trace = func(e Event) { t.Logf("%+v", e) }
		c, err := NewClientEngine(cc)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServerEngine(sc)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1000, 0)
		if err := c.Start(now); err != nil {
			t.Fatal(err)
		}
		for pump(t, c, s, now)+pump(t, s, c, now) > 0 {
		}
		if !c.Open() || !s.Open() {
			t.Fatalf("%v: not open: %v %v", v, c.Open(), s.Open())
		}
		if !c.Deadline().IsZero() || !s.Deadline().IsZero() {
			t.Fatal("timers run", c.Deadline(), s.Deadline())
		}
		buf := make([]byte, 2048)
		n, err := c.Write(buf, []byte("hello"), now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Receive(buf[:n], now); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		if n, ok := s.Read(p); !ok || string(p[:n]) != "hello" {
			t.Fatal(n, ok)
		}
	}
}
