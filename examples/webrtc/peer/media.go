package peer

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/godwit-dtls/godwit/dtls"
)

// srtpProfiles are what media is protected with, most preferred first; the last is
// the one that everybody has (RFC 8827 6.5).
var srtpProfiles = []dtls.SRTPProfile{dtls.SRTPAEADAES128GCM, dtls.SRTPAEADAES256GCM, dtls.SRTPAES128CMHMACSHA1_80}

// A media protects RTP with keys of DTLS, beside which it goes (RFC 5764).
type media struct {
	path    net.Conn
	mu      sync.Mutex // guards outgoing
	out     *srtp.Context
	in      *srtp.Context // of receive alone
	packets atomic.Uint64 // that opened
}

// newMedia is nil if no profile was negotiated.
func newMedia(c *dtls.Conn, setup Setup, path net.Conn) (*media, error) {
	if c.SRTPProfile() == 0 {
		return nil, nil
	}
	keys, err := c.SRTPKeys()
	if err != nil {
		return nil, err
	}
	profile := srtp.ProtectionProfile(c.SRTPProfile()) // both have IANA's numbers
	client, err := srtp.CreateContext(keys.ClientMasterKey, keys.ClientMasterSalt, profile)
	if err != nil {
		return nil, err
	}
	server, err := srtp.CreateContext(keys.ServerMasterKey, keys.ServerMasterSalt, profile)
	if err != nil {
		return nil, err
	}
	if setup == Active {
		return &media{path: path, out: client, in: server}, nil
	}
	return &media{path: path, out: server, in: client}, nil
}

// send protects one RTP packet and sends it.
func (m *media) send(h *rtp.Header, payload []byte) error {
	plain, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
	if err != nil {
		return err
	}
	m.mu.Lock()
	protected, err := m.out.EncryptRTP(nil, plain, nil)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = m.path.Write(protected)
	return err
}

// receive counts what opens, until the path ends. What doesn't open is dropped.
func (m *media) receive(path net.Conn) {
	b := make([]byte, 1<<16)
	for {
		n, err := path.Read(b)
		if err != nil {
			return
		}
		if dtls.Classify(b[:n]) != dtls.RTPPacket {
			continue // reports of RTCP, which nobody here reads
		}
		if _, err := m.in.DecryptRTP(nil, b[:n], nil); err == nil {
			m.packets.Add(1)
		}
	}
}

// A Track is one stream of media that this side sends. One goroutine at a time may
// write.
type Track struct {
	Kind Kind

	header rtp.Header
	ticks  uint32 // of the codec's clock, between two frames
	frame  []byte
	media  *media
}

// newTrack has frames of 20 ms that a decoder makes nothing of: what counts here is the
// way to it.
func newTrack(s section) *Track {
	t := &Track{Kind: s.kind, header: rtp.Header{Version: 2, PayloadType: s.codec.PayloadType, SSRC: s.ssrc}, ticks: s.codec.ClockRate / 50}
	switch s.kind {
	case Audio:
		t.frame = opusSilence
	case Video:
		t.frame, t.header.Marker = vp8Header, true
	}
	return t
}

// opusSilence is 20 ms of silence in Opus: the byte of contents says CELT, full band,
// mono, one frame (RFC 6716 3.1).
var opusSilence = []byte{0xf8, 0xff, 0xfe}

// vp8Header is RTP's payload descriptor, the start of partition 0 (RFC 7741 4.2), and
// the header of a key frame of 16 x 16 pixels (RFC 6386 9.1) without any contents.
var vp8Header = []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}

// Send sends the next frame.
func (t *Track) Send() error {
	if t.media == nil {
		return errors.New("srtp: no profile in common, or not connected")
	}
	err := t.media.send(&t.header, t.frame)
	t.header.SequenceNumber++
	t.header.Timestamp += t.ticks
	return err
}
