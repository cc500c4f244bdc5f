package dtls_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// Every way to a Conn or Listener refuses a Config that can't be used, and names
// the field.
func TestConfigErrors(t *testing.T) {
	both := map[string]func(*dtls.Config){
		"MinVersion":       func(c *dtls.Config) { c.MinVersion = 0xfeff },
		"MinVersion above": func(c *dtls.Config) { c.MinVersion, c.MaxVersion = dtls.VersionDTLS13, dtls.VersionDTLS12 },
		"MaxVersion":       func(c *dtls.Config) { c.MaxVersion = tls.VersionTLS11 },
		"CipherSuites":     func(c *dtls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA} },
		"CurvePreferences": func(c *dtls.Config) { c.CurvePreferences = []tls.CurveID{1} },
		"CurvePreferences without one for 1.2": func(c *dtls.Config) {
			c.MaxVersion, c.CurvePreferences = dtls.VersionDTLS12, []tls.CurveID{tls.X25519MLKEM768}
		},
		"NextProtos":          func(c *dtls.Config) { c.NextProtos = []string{""} },
		"NextProtos too long": func(c *dtls.Config) { c.NextProtos = []string{strings.Repeat("x", 256)} },
		"Certificates":        func(c *dtls.Config) { c.Certificates = []tls.Certificate{{}} },
		"ClientAuth":          func(c *dtls.Config) { c.ClientAuth = 99 },
		"MTU":                 func(c *dtls.Config) { c.MTU = 227 },
		"MTU too large":       func(c *dtls.Config) { c.MTU = 65508 },
		"InitialTimeout":      func(c *dtls.Config) { c.InitialTimeout = -time.Second },
	}
	clients := map[string]func(*dtls.Config){
		"ServerName":          func(c *dtls.Config) { c.ServerName = "" },
		"ServerName too long": func(c *dtls.Config) { c.ServerName = strings.Repeat("x", 256) },
	}
	servers := map[string]func(*dtls.Config){
		"Certificates missing": func(c *dtls.Config) { c.Certificates = nil },
	}
	link, _ := newLAN().link()
	ways := map[string]struct {
		try func(*dtls.Config) error
		own map[string]func(*dtls.Config)
	}{
		"Dial":        {func(c *dtls.Config) error { _, err := dtls.Dial("udp", "127.0.0.1:9", c); return err }, nil},
		"Client":      {func(c *dtls.Config) error { _, err := dtls.Client(link, c); return err }, clients},
		"Server":      {func(c *dtls.Config) error { _, err := dtls.Server(link, c); return err }, servers},
		"Listen":      {func(c *dtls.Config) error { _, err := dtls.Listen("udp", "127.0.0.1:0", c); return err }, servers},
		"NewListener": {func(c *dtls.Config) error { _, err := dtls.NewListener(newLAN().listen(serverAddr), c); return err }, servers},
		"an Engine":   {func(c *dtls.Config) error { _, err := dtls.NewClientEngine(c); return err }, clients},
	}
	for way, w := range ways {
		for _, changes := range []map[string]func(*dtls.Config){both, w.own} {
			for name, change := range changes {
				client, server := configs(t, 0)
				config := server
				config.ServerName = client.ServerName // good for either role
				change(config)
				want, _, _ := strings.Cut(name, " ")
				err := w.try(config)
				if e, ok := errors.AsType[*dtls.ConfigError](err); !ok || e.Field != want || !strings.Contains(err.Error(), "Config."+want) {
					t.Errorf("%s: %s: %v, want a ConfigError for %s", way, name, err, want)
				}
			}
		}
	}
}

// A nil Config is the zero one.
func TestNilConfig(t *testing.T) {
	link, _ := newLAN().link()
	_, clientErr := dtls.Client(link, nil)
	_, serverErr := dtls.Server(link, nil)
	_, listenErr := dtls.Listen("udp", "127.0.0.1:0", nil)
	_, newErr := dtls.NewListener(newLAN().listen(serverAddr), nil)
	for field, errs := range map[string][]error{"ServerName": {clientErr}, "Certificates": {serverErr, listenErr, newErr}} {
		for _, err := range errs {
			if e, ok := errors.AsType[*dtls.ConfigError](err); !ok || e.Field != field {
				t.Errorf("%v, want a ConfigError for %s", err, field)
			}
		}
	}
}

// Dial takes the name to verify from the address.
func TestDialTakesTheName(t *testing.T) {
	client, server := configs(t, 0)
	l, err := dtls.Listen("udp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echo(t, l)
	client.ServerName = ""
	c, err := dtls.Dial("udp", l.Addr().String(), client) // the certificate has 127.0.0.1
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, c, "godwit")
	c.Close()
	if client.ServerName != "" {
		t.Error("Dial changed the Config")
	}
	if _, err := dtls.Dial("udp", "no port", &dtls.Config{}); err == nil {
		t.Error("dialed an address without a port")
	}
}
