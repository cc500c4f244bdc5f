package dtls

import (
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// Abort tells the peer an alert of ours, and ends the association for both.
func TestAbort(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		s.client.Abort(alert.AccessDenied, s.now)
		s.client.Abort(alert.UserCanceled, s.now) // too late
		s.client.transmit()
		for s.step() {
		}
		if e := (*Error)(nil); !errors.As(s.client.Err(), &e) || e.Alert != alert.AccessDenied || e.Received || !errors.Is(e, ErrAborted) {
			t.Error("client:", s.client.Err())
		}
		if e := (*Error)(nil); !errors.As(s.server.Err(), &e) || e.Alert != alert.AccessDenied || !e.Received {
			t.Error("server:", s.server.Err())
		}
		if _, err := s.client.Write(make([]byte, 100), []byte("more"), s.now); !errors.Is(err, ErrAborted) {
			t.Error("it can be written after Abort:", err)
		}
	})
}

// Peek gives the same record as often as it is asked, and Read the same again.
func TestPeek(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	datagram := append(s.server.seal("one"), s.server.seal("two")...)
	if err := s.client.Receive(datagram, s.now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		for _, f := range []func([]byte) (int, bool){s.client.Peek, s.client.Peek, s.client.Read} {
			buf := make([]byte, 10)
			if n, ok := f(buf); !ok || string(buf[:n]) != want {
				t.Errorf("got %q, %v, expected %q", buf[:n], ok, want)
			}
		}
	}
	if n, ok := s.client.Peek(make([]byte, 10)); n != 0 || ok {
		t.Error("there is something to peek at", n, ok)
	}
}
