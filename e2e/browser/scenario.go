package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/examples/webrtc/peer"
)

// A scenario is what a run is like.
type scenario struct {
	role    string // godwit's: client or server
	version string // 1.2 or 1.3, our maximum
	group   string // the only one of ours; empty: our defaults
	media   peer.Kind
	bytes   int // to be echoed
	loss    int // percent, each way
	seed    int64
	wrong   wrong
}

// A wrong is what is not as it should be.
type wrong string

const (
	nothing       wrong = ""
	ourPrint      wrong = "ours"   // the browser is told another fingerprint than our certificate's
	browsersPrint wrong = "theirs" // we are told another fingerprint than the browser's certificate's
	mediaKeys     wrong = "keys"   // media is protected with other keys than those of DTLS
)

// wrongs are what the table calls them.
var wrongs = map[wrong]string{
	nothing:       "",
	ourPrint:      "wrong fingerprint of ours: refused",
	browsersPrint: "wrong fingerprint of the browser's: refused",
	mediaKeys:     "audio with wrong keys: not counted",
}

const (
	frames     = 25 // of media, in each run
	echoBytes  = 1 << 20
	lossyBytes = 1 << 12 // SCTP waits for long where a fifth of everything is lost
)

// setup is our role in terms of SDP.
func (c scenario) setup() peer.Setup {
	if c.role == "client" {
		return peer.Active
	}
	return peer.Passive
}

// patience bounds a run; one without loss takes less than a second.
func (c scenario) patience() time.Duration {
	if c.loss > 0 {
		return 60 * time.Second
	}
	return 20 * time.Second
}

// groups are those that a scenario can name: with ML-KEM and without.
var groups = map[string]tls.CurveID{"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "secp256r1": tls.CurveP256}

func (c scenario) dtlsConfig() *dtls.Config {
	config := &dtls.Config{}
	if c.version == "1.2" {
		config.MaxVersion = dtls.VersionDTLS12
	}
	if c.group != "" {
		// P-256 is there for the browser's certificate, whose group 1.2 has to name, too
		// (RFC 8422 5.1).
		config.CurvePreferences = []tls.CurveID{groups[c.group], tls.CurveP256}
	}
	return config
}

func (c scenario) validate() error {
	switch {
	case c.role != "client" && c.role != "server":
		return fmt.Errorf("-role %q: expected client or server", c.role)
	case c.version != "1.2" && c.version != "1.3":
		return fmt.Errorf("-version %q: expected 1.2 or 1.3", c.version)
	case c.group != "" && groups[c.group] == 0:
		return fmt.Errorf("-group %q: expected X25519MLKEM768, X25519 or secp256r1", c.group)
	case c.version == "1.2" && c.group == "X25519MLKEM768":
		return fmt.Errorf("-group %s: there is no such group in 1.2", c.group)
	case c.media != "" && c.media != peer.Audio && c.media != peer.Video:
		return fmt.Errorf("-media %q: expected audio, video or nothing", c.media)
	case c.loss < 0 || c.loss > 100:
		return fmt.Errorf("-loss %d: expected a percentage", c.loss)
	case c.bytes < 0:
		return fmt.Errorf("-echo %d: expected a number of bytes", c.bytes)
	}
	if _, ok := wrongs[c.wrong]; !ok {
		return fmt.Errorf("-wrong %q: expected ours, theirs or keys", c.wrong)
	}
	return nil
}

func (c scenario) String() string {
	group := c.group
	if group == "" {
		group = "any group"
	}
	return fmt.Sprintf("%s, DTLS %s, %s, %s", c.role, c.version, group, c.what())
}

// scenarios are all that there are, in the order of the table.
func scenarios() []scenario {
	var all []scenario
	for _, role := range []string{"server", "client"} {
		for _, v := range []struct{ version, group string }{{"1.3", "X25519MLKEM768"}, {"1.3", "X25519"}, {"1.2", "X25519"}} {
			base := scenario{role: role, version: v.version, group: v.group, media: peer.Audio, bytes: echoBytes}
			video := base
			video.media = peer.Video
			lossy := base
			lossy.loss, lossy.bytes = 20, lossyBytes
			all = append(all, base, video, lossy)
			for _, w := range []wrong{ourPrint, browsersPrint, mediaKeys} {
				c := base
				c.wrong = w
				all = append(all, c)
			}
		}
	}
	return all
}
