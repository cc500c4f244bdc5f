package peer

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
)

// chromium is an offer of Chromium's without what doesn't matter here: to receive
// audio by Opus among others, to send video by VP8, to receive what we have nothing for, and
// a data channel.
var chromium = strings.ReplaceAll(`v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3
m=audio 9 UDP/TLS/RTP/SAVPF 63 109
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 0b2ec0ea-4b4e-4d9f-a8d6-d3ed1ab8f1b7.local 41000 typ host
a=ice-ufrag:Aa1b
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:63 red/48000/2
a=rtpmap:109 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 100
c=IN IP4 0.0.0.0
a=ice-ufrag:Aa1b
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:1
a=sendonly
a=rtpmap:100 VP8/90000
m=video 9 UDP/TLS/RTP/SAVPF 101
c=IN IP4 0.0.0.0
a=mid:2
a=rtpmap:101 H264/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:3
a=sctp-port:5000
`, "\n", "\r\n")

func TestParseDescription(t *testing.T) {
	d, err := parseDescription(chromium)
	if err != nil {
		t.Fatal(err)
	}
	if d.fragment != "Aa1b" || d.password != "abcdefghijklmnopqrstuvwx" || d.setup != actpass || !slices.Equal(d.fingerprints, []string{"sha-256 AA:BB"}) || len(d.candidates) != 1 {
		t.Errorf("%+v", d)
	}
	for _, name := range []string{"ice-ufrag", "ice-pwd", "fingerprint", "setup"} {
		if d, err := parseDescription(strings.ReplaceAll(chromium, "a="+name, "a=x-"+name)); err == nil {
			t.Errorf("without %s it is %+v", name, d)
		}
	}
}

// Each section is answered in its place (RFC 8829 5.3.1), with the other side's payload type.
func TestAnswer(t *testing.T) {
	offer, err := parseDescription(chromium)
	if err != nil {
		t.Fatal(err)
	}
	d := description{fragment: "frag", password: "abcdefghijklmnopqrstuvwx", fingerprints: []string{"sha-256 CC:DD"}, setup: Passive}
	tracks := d.answer(offer)
	if len(tracks) != 1 || tracks[0].Kind != Audio || tracks[0].header.PayloadType != 109 {
		t.Errorf("%+v", tracks)
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(d.String()); err != nil {
		t.Fatal(err)
	}
	if bundle, _ := s.Attribute("group"); bundle != "BUNDLE 0 1 3" {
		t.Errorf("a=group:%s", bundle)
	}
	for i, want := range []struct {
		media, mid, direction string
		port                  int
	}{{"audio", "0", "sendonly", 9}, {"video", "1", "inactive", 9}, {"video", "2", "", 0}, {"application", "3", "", 9}} {
		m := s.MediaDescriptions[i]
		mid, _ := m.Attribute("mid")
		if _, ok := m.Attribute(want.direction); want.direction != "" && !ok || m.MediaName.Media != want.media || mid != want.mid || m.MediaName.Port.Value != want.port {
			t.Errorf("section %d is %+v, expected %+v", i, m, want)
		}
	}
	if back, err := parseDescription(d.String()); err != nil || back.setup != Passive || back.fragment != "frag" {
		t.Errorf("read back it is %+v, %v", back, err)
	}
}

// Whatever the other side says is answered, or is an error.
func FuzzAnswer(f *testing.F) {
	f.Add(chromium)
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		d, err := parseDescription(offer)
		if err != nil {
			return
		}
		ours := description{fragment: "frag", password: "abcdefghijklmnopqrstuvwx", fingerprints: []string{"sha-256 CC:DD"}, setup: Passive}
		ours.answer(d)
		var s sdp.SessionDescription
		if err := s.UnmarshalString(ours.String()); err != nil || len(s.MediaDescriptions) != len(d.sections) {
			t.Errorf("%v: %d sections of %d in %q", err, len(s.MediaDescriptions), len(d.sections), ours.String())
		}
	})
}
