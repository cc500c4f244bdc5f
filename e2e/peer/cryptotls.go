package peer

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// CryptoTLS is Go's crypto/tls, in this process. Its TLS 1.3 suites can't be
// chosen, and it doesn't tell which alert it sent.
type CryptoTLS struct{}

func (CryptoTLS) Name() string                      { return "crypto-tls" }
func (CryptoTLS) Speaks(p Protocol) bool            { return !p.Datagram() }
func (CryptoTLS) Certifies(Protocol, pki.Kind) bool { return true }

func (CryptoTLS) Serve(t testing.TB, s Settings) Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	config := cryptoTLSConfig(t, s)
	c := &cryptoTLS{t: t, address: listener.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		conn, err := listener.Accept()
		if err != nil {
			c.fail(err)
			return
		}
		c.serve(tls.Server(conn, config))
	}()
	return c
}

func (CryptoTLS) Connect(t testing.TB, s Settings, address string) Conversation {
	config := cryptoTLSConfig(t, s)
	c := &cryptoTLS{t: t, mute: s.Mute, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		conn, err := net.Dial("tcp", address)
		if err != nil {
			c.fail(err)
			return
		}
		c.connect(tls.Client(conn, config))
	}()
	return c
}

// cryptoTLS is a conversation in a goroutine of its own.
type cryptoTLS struct {
	t       testing.TB
	address string
	mute    bool
	done    chan struct{}
	report  Report // once done
}

func (c *cryptoTLS) Address() string { return c.address }

func (c *cryptoTLS) Report() Report {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatal("crypto/tls never came to its end")
	}
	return c.report
}

func (c *cryptoTLS) serve(conn *tls.Conn) {
	defer conn.Close()
	if !c.handshake(conn) {
		return
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		_, err = io.WriteString(conn, line)
	}
	if err == nil { // until the client closes
		_, err = io.Copy(io.Discard, conn)
	}
	c.end(line, err)
}

func (c *cryptoTLS) connect(conn *tls.Conn) {
	defer conn.Close()
	if !c.handshake(conn) {
		return
	}
	if !c.mute {
		if _, err := io.WriteString(conn, Text); err != nil {
			c.fail(err)
			return
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	c.end(line, err)
}

func (c *cryptoTLS) handshake(conn *tls.Conn) bool {
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		c.fail(err)
		return false
	}
	state := conn.ConnectionState()
	exporter, err := state.ExportKeyingMaterial(ExporterLabel, nil, ExporterLength)
	if err != nil {
		c.fail(err)
		return false
	}
	c.report = Report{
		Established: true,
		Version:     tls.VersionName(state.Version),
		Cipher:      tls.CipherSuiteName(state.CipherSuite),
		Group:       cryptoTLSGroup(state.CurveID),
		ALPN:        state.NegotiatedProtocol,
		ServerName:  state.ServerName,
		Staple:      ocspStatus(state.OCSPResponse),
		Exporter:    hex.EncodeToString(exporter),
	}
	if len(state.PeerCertificates) > 0 {
		digest := sha256.Sum256(state.PeerCertificates[0].Raw)
		c.report.Fingerprint = hex.EncodeToString(digest[:])
	}
	return true
}

// end notes what came over the connection, and why it ended.
func (c *cryptoTLS) end(line string, err error) {
	c.report.Echoed = line == Text
	if err != nil {
		c.fail(err)
	}
}

func (c *cryptoTLS) fail(err error) {
	c.report.Output = fmt.Sprintf("crypto/tls: %v\n", err)
	for number, name := range alerts {
		if err.Error() == "remote error: "+tls.AlertError(number).Error() {
			c.report.Received = name
		}
	}
}

func cryptoTLSConfig(t testing.TB, s Settings) *tls.Config {
	t.Helper()
	versions := map[Protocol]uint16{TLS12: tls.VersionTLS12, TLS13: tls.VersionTLS13}
	config := &tls.Config{
		MinVersion:         versions[s.Min],
		MaxVersion:         versions[s.Max],
		ServerName:         s.Name,
		NextProtos:         s.ALPN,
		InsecureSkipVerify: s.Root == "",
	}
	if s.Leaf != nil {
		certificate, err := tls.LoadX509KeyPair(s.Leaf.Chain, s.Leaf.Key)
		if err != nil {
			t.Fatal(err)
		}
		if s.Staple {
			if certificate.OCSPStaple, err = os.ReadFile(s.Leaf.Staple); err != nil {
				t.Fatal(err)
			}
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	if s.Root != "" {
		config.RootCAs = pool(t, s.Root)
		config.ClientCAs = config.RootCAs
	}
	if s.Verify {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	for _, suite := range tls.CipherSuites() {
		if slices.Contains(s.Suites, suite.Name) {
			config.CipherSuites = append(config.CipherSuites, suite.ID)
		}
	}
	for id, name := range cryptoTLSGroups {
		if slices.Contains(s.Groups, name) {
			config.CurvePreferences = append(config.CurvePreferences, id)
		}
	}
	if s.KeyLog != "" {
		file, err := os.Create(s.KeyLog)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		config.KeyLogWriter = file
	}
	return config
}

func pool(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", file)
	}
	return roots
}

// cryptoTLSGroups are in the RFCs' names (RFC 8446 4.2.7 and the registry).
var cryptoTLSGroups = map[tls.CurveID]string{
	tls.X25519:             "x25519",
	tls.CurveP256:          "secp256r1",
	tls.CurveP384:          "secp384r1",
	tls.CurveP521:          "secp521r1",
	tls.X25519MLKEM768:     "X25519MLKEM768",
	tls.SecP256r1MLKEM768:  "SecP256r1MLKEM768",
	tls.SecP384r1MLKEM1024: "SecP384r1MLKEM1024",
}

func cryptoTLSGroup(id tls.CurveID) string {
	if name, ok := cryptoTLSGroups[id]; ok {
		return name
	}
	return id.String()
}
