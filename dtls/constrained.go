package dtls

import (
	"crypto/tls"
	"time"
)

// ConstrainedConfig returns a Config for devices that count bytes, after the
// profile of RFC 7925: add what this side authenticates with, and what it takes of
// its peer. The suites are few and the hellos short, records are as long as a CoAP
// message, and timers wait for slow radios. Peers with a default Config understand
// it, if their certificates are on P-256 and signed by ECDSA with SHA-256.
//
// Set ClientSessionCache for a client that resumes (RFC 7925 7), MTU if the path
// is known to take less than 1200 bytes, and MaxFragmentLength if there is no room
// for records of 1152. Bytes and datagrams of handshakes are in docs/size.md.
//
// Warning: 1.2 prefers suites with tags of 8 bytes (see Config.CipherSuites), and
// with a pre-shared key none that has forward secrecy; 1.3 has both as always.
// ShortRecordHeaders is on: see there for what it costs.
func ConstrainedConfig() *Config {
	return &Config{
		CipherSuites: []uint16{
			TLS_AES_128_CCM_SHA256,
			TLS_AES_128_GCM_SHA256,             // RFC 9846 9.1: every peer has it
			TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, // RFC 7925 4.3, 4.4
			TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			TLS_PSK_WITH_AES_128_CCM_8, // RFC 7925 4.2
			TLS_PSK_WITH_AES_128_GCM_SHA256,
		},
		CurvePreferences:     []tls.CurveID{tls.CurveP256},                      // RFC 7925 4.4
		PeerSignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, // RFC 7925 4.4
		MaxCertificateList:   1 << 12,                                           // three of some size, RFC 7925 4.4.4
		RecordSizeLimit:      maxCoAPMessage + 1,                                // with the content type of 1.3
		ShortRecordHeaders:   true,                                              // RFC 9147 4
		SplitHellos:          4,                                                 // 16 KiB of a Listener's memory, not a MiB
		MaxHandshakes:        64,                                                // and a MiB or two for these, not a hundred
		SessionTickets:       1,                                                 // a device has one connection
		InitialTimeout:       9 * time.Second,                                   // RFC 7925 11, where RFC 9147 5.8.2 has one
		HandshakeTimeout:     (9 + 18 + 36 + 60) * time.Second,                  // three repetitions, and the answer to the last
	}
}

// maxCoAPMessage is what RFC 7252 4.6 has a message be at most if nothing is known
// of the path, in bytes.
const maxCoAPMessage = 1152
