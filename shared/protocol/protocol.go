// Package protocol names what goes over the wire: versions, content types,
// handshake types, extensions, record numbers.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package protocol

import "fmt"

// A Transport is what carries the handshake.
type Transport uint8

const (
	Stream   Transport = iota // TLS, over bytes in order
	Datagram                  // DTLS, over datagrams that get lost
)

// A Version is a protocol version as it stands on the wire.
type Version uint16

const (
	VersionTLS10  Version = 0x0301
	VersionTLS11  Version = 0x0302
	VersionTLS12  Version = 0x0303
	VersionTLS13  Version = 0x0304
	VersionDTLS10 Version = 0xfeff
	VersionDTLS12 Version = 0xfefd
	VersionDTLS13 Version = 0xfefc
)

// Over returns the version of the same generation for transport t:
// TLS 1.2 and DTLS 1.2 are one protocol in two forms.
func (v Version) Over(t Transport) Version {
	for _, pair := range [...][2]Version{{VersionTLS12, VersionDTLS12}, {VersionTLS13, VersionDTLS13}} {
		if v == pair[Stream] || v == pair[Datagram] {
			return pair[t]
		}
	}
	return v
}

// Is13 reports whether v is TLS 1.3 or DTLS 1.3.
func (v Version) Is13() bool { return v == VersionTLS13 || v == VersionDTLS13 }

// Known reports whether this library speaks v: 1.2 or 1.3 over either transport.
func (v Version) Known() bool {
	return v == VersionTLS12 || v == VersionTLS13 || v == VersionDTLS12 || v == VersionDTLS13
}

func (v Version) String() string {
	switch v {
	case VersionTLS10:
		return "TLS 1.0"
	case VersionTLS11:
		return "TLS 1.1"
	case VersionTLS12:
		return "TLS 1.2"
	case VersionTLS13:
		return "TLS 1.3"
	case VersionDTLS10:
		return "DTLS 1.0"
	case VersionDTLS12:
		return "DTLS 1.2"
	case VersionDTLS13:
		return "DTLS 1.3"
	}
	return fmt.Sprintf("version 0x%04x", uint16(v))
}

// A ContentType is the type of a record (RFC 9846 5.1, RFC 9147 4).
type ContentType uint8

const (
	ChangeCipherSpec ContentType = 20
	Alert            ContentType = 21
	Handshake        ContentType = 22
	ApplicationData  ContentType = 23
	Heartbeat        ContentType = 24
	ConnectionID     ContentType = 25 // tls12_cid, RFC 9146
	ACK              ContentType = 26 // RFC 9147 7

	ReturnRoutability ContentType = 27 // return_routability_check, RFC 9853
)

var contentTypes = map[ContentType]string{
	ChangeCipherSpec: "change_cipher_spec",
	Alert:            "alert",
	Handshake:        "handshake",
	ApplicationData:  "application_data",
	Heartbeat:        "heartbeat",
	ConnectionID:     "tls12_cid",
	ACK:              "ack",

	ReturnRoutability: "return_routability_check",
}

func (t ContentType) String() string { return name(contentTypes, t, "content type") }

// A HandshakeType is the first byte of a handshake message (RFC 9846 4).
type HandshakeType uint8

const (
	HelloRequest          HandshakeType = 0
	ClientHello           HandshakeType = 1
	ServerHello           HandshakeType = 2 // and HelloRetryRequest
	HelloVerifyRequest    HandshakeType = 3
	NewSessionTicket      HandshakeType = 4
	EndOfEarlyData        HandshakeType = 5
	EncryptedExtensions   HandshakeType = 8
	RequestConnectionID   HandshakeType = 9
	NewConnectionID       HandshakeType = 10
	Certificate           HandshakeType = 11
	ServerKeyExchange     HandshakeType = 12
	CertificateRequest    HandshakeType = 13
	ServerHelloDone       HandshakeType = 14
	CertificateVerify     HandshakeType = 15
	ClientKeyExchange     HandshakeType = 16
	Finished              HandshakeType = 20
	CertificateStatus     HandshakeType = 22
	KeyUpdate             HandshakeType = 24
	CompressedCertificate HandshakeType = 25
	MessageHash           HandshakeType = 254 // in transcripts only, RFC 9846 4.1
)

var handshakeTypes = map[HandshakeType]string{
	HelloRequest:          "HelloRequest",
	ClientHello:           "ClientHello",
	ServerHello:           "ServerHello",
	HelloVerifyRequest:    "HelloVerifyRequest",
	NewSessionTicket:      "NewSessionTicket",
	EndOfEarlyData:        "EndOfEarlyData",
	EncryptedExtensions:   "EncryptedExtensions",
	RequestConnectionID:   "RequestConnectionId",
	NewConnectionID:       "NewConnectionId",
	Certificate:           "Certificate",
	ServerKeyExchange:     "ServerKeyExchange",
	CertificateRequest:    "CertificateRequest",
	ServerHelloDone:       "ServerHelloDone",
	CertificateVerify:     "CertificateVerify",
	ClientKeyExchange:     "ClientKeyExchange",
	Finished:              "Finished",
	CertificateStatus:     "CertificateStatus",
	KeyUpdate:             "KeyUpdate",
	CompressedCertificate: "CompressedCertificate",
	MessageHash:           "message_hash",
}

func (t HandshakeType) String() string { return name(handshakeTypes, t, "handshake type") }

// An SRTPProfile is an SRTP protection profile (RFC 5764 4.1.2, RFC 7714 14.2).
type SRTPProfile uint16

const (
	SRTPAES128CMHMACSHA1_80 SRTPProfile = 0x0001
	SRTPAES128CMHMACSHA1_32 SRTPProfile = 0x0002
	SRTPAEADAES128GCM       SRTPProfile = 0x0007
	SRTPAEADAES256GCM       SRTPProfile = 0x0008
)

// srtpProfileNames are IANA's.
var srtpProfileNames = map[SRTPProfile]string{
	SRTPAES128CMHMACSHA1_80: "SRTP_AES128_CM_HMAC_SHA1_80",
	SRTPAES128CMHMACSHA1_32: "SRTP_AES128_CM_HMAC_SHA1_32",
	SRTPAEADAES128GCM:       "SRTP_AEAD_AES_128_GCM",
	SRTPAEADAES256GCM:       "SRTP_AEAD_AES_256_GCM",
}

func (p SRTPProfile) String() string { return name(srtpProfileNames, p, "SRTP profile") }

// An ExtensionType is the type of an extension (RFC 9846 4.3).
type ExtensionType uint16

const (
	ExtServerName           ExtensionType = 0
	ExtMaxFragmentLength    ExtensionType = 1
	ExtStatusRequest        ExtensionType = 5
	ExtSupportedGroups      ExtensionType = 10
	ExtECPointFormats       ExtensionType = 11
	ExtSignatureAlgorithms  ExtensionType = 13
	ExtUseSRTP              ExtensionType = 14
	ExtALPN                 ExtensionType = 16
	ExtSCT                  ExtensionType = 18
	ExtClientCertType       ExtensionType = 19
	ExtServerCertType       ExtensionType = 20
	ExtPadding              ExtensionType = 21
	ExtEncryptThenMAC       ExtensionType = 22
	ExtExtendedMasterSecret ExtensionType = 23
	ExtCompressCertificate  ExtensionType = 27
	ExtRecordSizeLimit      ExtensionType = 28
	ExtDelegatedCredential  ExtensionType = 34
	ExtSessionTicket        ExtensionType = 35
	ExtPreSharedKey         ExtensionType = 41
	ExtEarlyData            ExtensionType = 42
	ExtSupportedVersions    ExtensionType = 43
	ExtCookie               ExtensionType = 44
	ExtPSKModes             ExtensionType = 45
	ExtCertAuthorities      ExtensionType = 47
	ExtPostHandshakeAuth    ExtensionType = 49
	ExtSignatureAlgsCert    ExtensionType = 50
	ExtKeyShare             ExtensionType = 51
	ExtConnectionID         ExtensionType = 54
	ExtReturnRoutability    ExtensionType = 61
	ExtTLSFlags             ExtensionType = 62
	ExtECHOuterExtensions   ExtensionType = 0xfd00
	ExtEncryptedClientHello ExtensionType = 0xfe0d
	ExtRenegotiationInfo    ExtensionType = 0xff01
)

var extensionTypes = map[ExtensionType]string{
	ExtServerName:           "server_name",
	ExtMaxFragmentLength:    "max_fragment_length",
	ExtStatusRequest:        "status_request",
	ExtSupportedGroups:      "supported_groups",
	ExtECPointFormats:       "ec_point_formats",
	ExtSignatureAlgorithms:  "signature_algorithms",
	ExtUseSRTP:              "use_srtp",
	ExtALPN:                 "application_layer_protocol_negotiation",
	ExtSCT:                  "signed_certificate_timestamp",
	ExtClientCertType:       "client_certificate_type",
	ExtServerCertType:       "server_certificate_type",
	ExtPadding:              "padding",
	ExtEncryptThenMAC:       "encrypt_then_mac",
	ExtExtendedMasterSecret: "extended_master_secret",
	ExtCompressCertificate:  "compress_certificate",
	ExtRecordSizeLimit:      "record_size_limit",
	ExtDelegatedCredential:  "delegated_credential",
	ExtSessionTicket:        "session_ticket",
	ExtPreSharedKey:         "pre_shared_key",
	ExtEarlyData:            "early_data",
	ExtSupportedVersions:    "supported_versions",
	ExtCookie:               "cookie",
	ExtPSKModes:             "psk_key_exchange_modes",
	ExtCertAuthorities:      "certificate_authorities",
	ExtPostHandshakeAuth:    "post_handshake_auth",
	ExtSignatureAlgsCert:    "signature_algorithms_cert",
	ExtKeyShare:             "key_share",
	ExtConnectionID:         "connection_id",
	ExtReturnRoutability:    "rrc",
	ExtTLSFlags:             "tls_flags",
	ExtECHOuterExtensions:   "ech_outer_extensions",
	ExtEncryptedClientHello: "encrypted_client_hello",
	ExtRenegotiationInfo:    "renegotiation_info",
}

func (t ExtensionType) String() string { return name(extensionTypes, t, "extension") }

// A CertificateType is what a peer shows its public key in (RFC 7250 3).
type CertificateType uint8

const (
	X509         CertificateType = 0
	RawPublicKey CertificateType = 2 // a SubjectPublicKeyInfo and nothing about its owner
)

var certificateTypes = map[CertificateType]string{
	X509:         "X509",
	RawPublicKey: "RawPublicKey",
}

func (t CertificateType) String() string { return name(certificateTypes, t, "certificate type") }

// A RecordNumber names one DTLS record. It is 16 bytes in an ACK, two u64
// (RFC 9147 4, 7). DTLS 1.2 has 16 bits of epoch and 48 of sequence number.
type RecordNumber struct{ Epoch, Sequence uint64 }

// Less orders record numbers as an ACK lists them: by epoch, then sequence.
func (n RecordNumber) Less(o RecordNumber) bool {
	return n.Epoch < o.Epoch || n.Epoch == o.Epoch && n.Sequence < o.Sequence
}

func (n RecordNumber) String() string { return fmt.Sprintf("%d/%d", n.Epoch, n.Sequence) }

func name[T ~uint8 | ~uint16](names map[T]string, t T, kind string) string {
	if s, ok := names[t]; ok {
		return s
	}
	return fmt.Sprintf("%s %d", kind, uint16(t))
}
