package peer

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// A Setup is a part in the DTLS handshake, as SDP names it (RFC 4145 4).
type Setup string

const (
	Active  Setup = "active"  // the DTLS client
	Passive Setup = "passive" // the DTLS server

	actpass Setup = "actpass" // an offer: the answer chooses
)

// opposite is the part of the other side, of what an answer may have chosen.
func (s Setup) opposite() (Setup, error) {
	switch s {
	case Active:
		return Passive, nil
	case Passive:
		return Active, nil
	}
	return "", fmt.Errorf("sdp: a=setup:%s in an answer", s)
}

// A Kind is a kind of media, as SDP names it.
type Kind string

const (
	Audio Kind = "audio" // Opus
	Video Kind = "video" // VP8

	application Kind = "application" // data channels
)

// codecs are what there is of each kind.
var codecs = map[Kind]sdp.Codec{
	Audio: {Name: "opus", ClockRate: 48000, EncodingParameters: "2", PayloadType: 111},
	Video: {Name: "VP8", ClockRate: 90000, PayloadType: 96},
}

// A description is what one side says of itself.
type description struct {
	fragment, password string // of ICE
	fingerprints       []string
	setup              Setup
	candidates         []string
	sections           []section
}

// A section is one thing that the connection carries.
type section struct {
	kind      Kind
	mid       string
	protocol  []string // UDP/TLS/RTP/SAVPF
	codec     sdp.Codec
	direction sdp.Direction
	ssrc      uint32 // of what this side sends; zero: nothing
	rejected  bool
}

// --- What the other side says

// parseDescription reads what matters here of a description. Everything goes over one
// path, so that what one section says of it holds for all: the first where there can
// be one only, and all fingerprints and candidates.
func parseDescription(text string) (description, error) {
	var d description
	var s sdp.SessionDescription
	if err := s.UnmarshalString(text); err != nil {
		return d, fmt.Errorf("sdp: %w", err)
	}
	attributes := s.Attributes
	for _, m := range s.MediaDescriptions {
		attributes = append(attributes, m.Attributes...)
		d.sections = append(d.sections, parseSection(m))
	}
	for _, a := range attributes {
		d.learn(a)
	}
	if d.fragment == "" || d.password == "" || len(d.fingerprints) == 0 || d.setup == "" {
		return d, errors.New("sdp: no ICE credentials, no fingerprint or no setup")
	}
	return d, nil
}

func (d *description) learn(a sdp.Attribute) {
	first := func(to *string) {
		if *to == "" {
			*to = a.Value
		}
	}
	switch a.Key {
	case "ice-ufrag":
		first(&d.fragment)
	case "ice-pwd":
		first(&d.password)
	case "setup":
		first((*string)(&d.setup))
	case "fingerprint":
		if !slices.Contains(d.fingerprints, a.Value) {
			d.fingerprints = append(d.fingerprints, a.Value)
		}
	case "candidate":
		if !slices.Contains(d.candidates, a.Value) {
			d.candidates = append(d.candidates, a.Value)
		}
	}
}

// parseSection also chooses the payload type: the other side's for our codec.
func parseSection(m *sdp.MediaDescription) section {
	n := section{kind: Kind(m.MediaName.Media), protocol: m.MediaName.Protos, direction: sdp.DirectionSendRecv}
	n.mid, _ = m.Attribute("mid")
	for _, direction := range []sdp.Direction{sdp.DirectionSendOnly, sdp.DirectionRecvOnly, sdp.DirectionInactive} {
		if _, ok := m.Attribute(direction.String()); ok {
			n.direction = direction
		}
	}
	wanted, ok := codecs[n.kind]
	if n.rejected = !ok && n.kind != application; !ok {
		return n
	}
	only := sdp.SessionDescription{MediaDescriptions: []*sdp.MediaDescription{m}}
	payload, err := only.GetPayloadTypeForCodec(sdp.Codec{Name: wanted.Name, ClockRate: wanted.ClockRate})
	n.rejected = err != nil
	n.codec = wanted
	n.codec.PayloadType = payload
	return n
}

// --- What this side says

// offer asks for media, and offers data channels.
func (d *description) offer(kinds []Kind) {
	for _, k := range kinds {
		d.sections = append(d.sections, section{kind: k, protocol: []string{"UDP", "TLS", "RTP", "SAVPF"}, codec: codecs[k], direction: sdp.DirectionRecvOnly})
	}
	d.sections = append(d.sections, section{kind: application, protocol: []string{"UDP", "DTLS", "SCTP"}})
	for i := range d.sections {
		d.sections[i].mid = strconv.Itoa(i)
	}
}

// answer goes through an offer section by section (RFC 8829 5.3.1), and returns what is
// sent in those that receive.
func (d *description) answer(offer description) []*Track {
	var tracks []*Track
	for _, s := range offer.sections {
		sends := s.direction == sdp.DirectionRecvOnly || s.direction == sdp.DirectionSendRecv
		switch {
		case s.rejected, s.kind == application:
		case sends:
			s.direction, s.ssrc = sdp.DirectionSendOnly, newSSRC()
			tracks = append(tracks, newTrack(s))
		default:
			s.direction = sdp.DirectionInactive
		}
		d.sections = append(d.sections, s)
	}
	return tracks
}

func newSSRC() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:]) | 1
}

// String is the description in SDP.
func (d *description) String() string {
	s := &sdp.SessionDescription{
		Origin:           sdp.Origin{Username: "-", SessionID: uint64(newSSRC()), NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1"},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	var mids []string
	for _, n := range d.sections {
		if !n.rejected {
			mids = append(mids, n.mid)
		}
		s.MediaDescriptions = append(s.MediaDescriptions, d.describe(n))
	}
	s.WithValueAttribute("group", "BUNDLE "+strings.Join(mids, " ")) // RFC 9143
	text, err := s.Marshal()
	if err != nil {
		panic(err) // it writes into memory
	}
	return string(text)
}

func (d *description) describe(n section) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: string(n.kind), Port: sdp.RangedPort{Value: 9}, Protos: n.protocol}, // 9: the candidates say it
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
	m.WithValueAttribute("mid", n.mid)
	if n.rejected {
		m.MediaName.Port.Value, m.MediaName.Formats = 0, []string{"0"}
		return m
	}
	m.WithICECredentials(d.fragment, d.password).WithValueAttribute("setup", string(d.setup))
	for _, f := range d.fingerprints {
		m.WithValueAttribute("fingerprint", f)
	}
	for _, c := range d.candidates {
		m.WithValueAttribute("candidate", c)
	}
	m.WithPropertyAttribute("end-of-candidates")
	if n.kind == application {
		m.MediaName.Formats = []string{"webrtc-datachannel"}
		return m.WithValueAttribute("sctp-port", "5000").WithValueAttribute("max-message-size", strconv.Itoa(MaxMessage))
	}
	channels, _ := strconv.ParseUint(n.codec.EncodingParameters, 10, 16)
	m.WithCodec(n.codec.PayloadType, n.codec.Name, n.codec.ClockRate, uint16(channels), "")
	m.WithPropertyAttribute("rtcp-mux").WithPropertyAttribute(n.direction.String())
	if n.ssrc != 0 {
		m.WithMediaSource(n.ssrc, "godwit", "godwit", n.mid)
	}
	return m
}
