package tests

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// TestUpgrade shows what a program that is written for Pion has got, without a word
// about it: DTLS 1.3, with X25519MLKEM768.
func TestUpgrade(t *testing.T) {
	var log handshakes
	var settings webrtc.SettingEngine
	settings.LoggerFactory = &log
	settings.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings))
	var peers [2]*webrtc.PeerConnection
	for i := range peers {
		peer, err := api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peer.Close() })
		peers[i] = peer
	}
	echoed := make(chan string, 1)
	channel, err := peers[0].CreateDataChannel("echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	channel.OnOpen(func() { channel.SendText("godwit") })
	channel.OnMessage(func(m webrtc.DataChannelMessage) { echoed <- string(m.Data) })
	peers[1].OnDataChannel(func(c *webrtc.DataChannel) {
		c.OnMessage(func(m webrtc.DataChannelMessage) { c.SendText(string(m.Data)) })
	})
	negotiate(t, peers[0], peers[1])
	select {
	case text := <-echoed:
		if text != "godwit" {
			t.Errorf("the echo is %q", text)
		}
	case <-time.After(time.Minute):
		t.Fatal("no echo")
	}
	for _, said := range log.all() {
		if said != "connected: version 0xfefc, TLS_AES_128_GCM_SHA256, X25519MLKEM768" {
			t.Error(said)
		}
	}
	if n := len(log.all()); n != 2 {
		t.Errorf("%d handshakes, want 2", n)
	}
}

// negotiate carries offer and answer, with all candidates in them.
func negotiate(t *testing.T, offerer, answerer *webrtc.PeerConnection) {
	t.Helper()
	for _, step := range []struct {
		from, to *webrtc.PeerConnection
		describe func(*webrtc.PeerConnection) (webrtc.SessionDescription, error)
	}{
		{offerer, answerer, func(p *webrtc.PeerConnection) (webrtc.SessionDescription, error) { return p.CreateOffer(nil) }},
		{answerer, offerer, func(p *webrtc.PeerConnection) (webrtc.SessionDescription, error) { return p.CreateAnswer(nil) }},
	} {
		description, err := step.describe(step.from)
		if err != nil {
			t.Fatal(err)
		}
		gathered := webrtc.GatheringCompletePromise(step.from)
		if err := step.from.SetLocalDescription(description); err != nil {
			t.Fatal(err)
		}
		<-gathered
		if err := step.to.SetRemoteDescription(*step.from.LocalDescription()); err != nil {
			t.Fatal(err)
		}
	}
}

// handshakes is a LoggerFactory that keeps what the drop-in says of each handshake.
type handshakes struct {
	mu   sync.Mutex
	said []string
}

func (h *handshakes) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said
}

func (h *handshakes) NewLogger(scope string) logging.LeveledLogger {
	silent := logging.NewDefaultLeveledLoggerForScope(scope, logging.LogLevelDisabled, nil)
	if scope != "dtls" {
		return silent
	}
	return heard{silent, h}
}

type heard struct {
	logging.LeveledLogger
	by *handshakes
}

func (l heard) Debugf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "connected: ") {
		l.by.mu.Lock()
		defer l.by.mu.Unlock()
		l.by.said = append(l.by.said, text)
	}
}
