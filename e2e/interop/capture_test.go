package interop

import (
	"encoding/hex"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/capture"
	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestCapture decrypts what went over the wire with the secrets that godwit
// logged, in both roles. Debian's tshark knows no DTLS 1.3.
func TestCapture(t *testing.T) {
	for _, protocol := range []peer.Protocol{peer.DTLS12, peer.TLS12, peer.TLS13} {
		for _, suite := range peer.Suites(protocol, pki.ECDSA) {
			for _, r := range []row{
				{protocol: protocol, server: peer.OpenSSL{}, client: peer.Godwit{}, suite: suite, kind: pki.ECDSA},
				{protocol: protocol, server: peer.Godwit{}, client: peer.OpenSSL{}, suite: suite, kind: pki.ECDSA},
			} {
				// That tshark can't open ChaCha20-Poly1305 in DTLS, whoever sealed it.
				if protocol.Datagram() && strings.Contains(suite, "CHACHA20") {
					continue
				}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					testCapture(t, r)
				})
			}
		}
	}
}

func testCapture(t *testing.T, r row) {
	tshark := peer.Find(t, "tshark")
	keyLog := filepath.Join(t.TempDir(), "keylog")
	server, client := r.settings()
	if isGodwit(r.server) {
		server.KeyLog = keyLog
	} else {
		client.KeyLog = keyLog
	}

	network, layer := "tcp", "tls"
	if r.protocol.Datagram() {
		network, layer = "udp", "dtls"
	}
	listening := r.server.Serve(t, server)
	relay := capture.Between(t, network, listening.Address())
	connected := r.client.Connect(t, client, relay.Address)
	var p pair
	p.client = connected.Report()
	p.server = listening.Report()
	r.check(t, p)

	file := filepath.Join(t.TempDir(), "pcap")
	if err := relay.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(netip.MustParseAddrPort(listening.Address()).Port()))
	output, err := exec.Command(tshark, "-r", file,
		"-o", "tls.keylog_file:"+keyLog,
		"-d", network+".port=="+port+","+layer,
		"-T", "fields", "-e", "data.data").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	// One from the client, and one that was echoed.
	want := hex.EncodeToString([]byte(peer.Text))
	if n := strings.Count(string(output), want); n != 2 {
		t.Errorf("tshark decrypted the text %d times, want 2: %q", n, strings.Fields(string(output)))
	}
}
