package dtls

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"weak"
)

// listenerOfTest is a Listener on a socket of its own.
func listenerOfTest(t testing.TB, config *Config) *Listener {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(pc, config)
	t.Cleanup(func() { l.Close() })
	return l
}

// A Conn that has let go of the Listener, and reads what came before, takes no ID and
// no address from it any more: nobody would give them back.
func TestNothingIsTakenAfterLeaving(t *testing.T) {
	_, server := with(identified(0, 8))
	l := listenerOfTest(t, server)
	p := l.newPeer(newServerEngine(server), address(1))
	p.leave()
	p.register([]byte("some ID."))
	p.move(address(1), address(2))
	if len(l.ids) > 0 || len(l.peers) > 0 {
		t.Errorf("%d IDs and %d addresses are taken", len(l.ids), len(l.peers))
	}
}

// What a batch was read into is no longer needed once it is handled, though the last
// datagram in it was a hello: a megabyte for each Listener.
func TestListenerLetsGoOfBatches(t *testing.T) {
	client, server := with()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := makeListener(pc, server)
	defer pc.Close()
	for _, hello := range newCaller(t, client).flight() {
		room := bytes.Clone(hello)
		held := weak.Make(&room[0])
		l.take(&batch{runs: []run{{room, len(room), Path{Remote: someAddr}}}})
		runtime.GC()
		if held.Value() != nil {
			t.Error("the Listener holds a datagram that it has handled")
		}
	}
	runtime.KeepAlive(l)
}
