// Package alert names the alerts of TLS and DTLS, and carries them in errors
// from where a fault is found to the one place that sends them.
//
// Of the packages below shared this one alone is covered by the promise of dtls
// and tls: callers compare errors with its alerts and reasons.
package alert

import "fmt"

// An Alert is the description byte of an alert record (RFC 9846 6).
type Alert uint8

const (
	CloseNotify                  Alert = 0
	UnexpectedMessage            Alert = 10
	BadRecordMAC                 Alert = 20
	RecordOverflow               Alert = 22
	DecompressionFailure         Alert = 30 // of versions before 1.3
	HandshakeFailure             Alert = 40
	BadCertificate               Alert = 42
	UnsupportedCertificate       Alert = 43
	CertificateRevoked           Alert = 44
	CertificateExpired           Alert = 45
	CertificateUnknown           Alert = 46
	IllegalParameter             Alert = 47
	UnknownCA                    Alert = 48
	AccessDenied                 Alert = 49
	DecodeError                  Alert = 50
	DecryptError                 Alert = 51
	TooManyCIDsRequested         Alert = 52
	ProtocolVersion              Alert = 70
	InsufficientSecurity         Alert = 71
	InternalError                Alert = 80
	InappropriateFallback        Alert = 86
	UserCanceled                 Alert = 90
	NoRenegotiation              Alert = 100
	MissingExtension             Alert = 109
	UnsupportedExtension         Alert = 110
	UnrecognizedName             Alert = 112
	BadCertificateStatusResponse Alert = 113
	UnknownPSKIdentity           Alert = 115
	CertificateRequired          Alert = 116
	NoApplicationProtocol        Alert = 120
	ECHRequired                  Alert = 121
)

var names = map[Alert]string{
	CloseNotify:                  "close_notify",
	UnexpectedMessage:            "unexpected_message",
	BadRecordMAC:                 "bad_record_mac",
	RecordOverflow:               "record_overflow",
	DecompressionFailure:         "decompression_failure",
	HandshakeFailure:             "handshake_failure",
	BadCertificate:               "bad_certificate",
	UnsupportedCertificate:       "unsupported_certificate",
	CertificateRevoked:           "certificate_revoked",
	CertificateExpired:           "certificate_expired",
	CertificateUnknown:           "certificate_unknown",
	IllegalParameter:             "illegal_parameter",
	UnknownCA:                    "unknown_ca",
	AccessDenied:                 "access_denied",
	DecodeError:                  "decode_error",
	DecryptError:                 "decrypt_error",
	TooManyCIDsRequested:         "too_many_cids_requested",
	ProtocolVersion:              "protocol_version",
	InsufficientSecurity:         "insufficient_security",
	InternalError:                "internal_error",
	InappropriateFallback:        "inappropriate_fallback",
	UserCanceled:                 "user_canceled",
	NoRenegotiation:              "no_renegotiation",
	MissingExtension:             "missing_extension",
	UnsupportedExtension:         "unsupported_extension",
	UnrecognizedName:             "unrecognized_name",
	BadCertificateStatusResponse: "bad_certificate_status_response",
	UnknownPSKIdentity:           "unknown_psk_identity",
	CertificateRequired:          "certificate_required",
	NoApplicationProtocol:        "no_application_protocol",
	ECHRequired:                  "ech_required",
}

func (a Alert) String() string {
	if s, ok := names[a]; ok {
		return s
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// A Fault says on whose side the trouble lies.
type Fault uint8

const (
	Peer  Fault = iota // the peer sent something wrong, or refused us with an alert
	Local              // our configuration, credentials or limits
)

func (f Fault) String() string {
	if f == Local {
		return "local"
	}
	return "peer"
}

// An Error ends a connection. It is built where the fault is found; the Engine
// alone sends its alert.
type Error struct {
	Alert    Alert
	Fault    Fault
	Received bool  // the alert came from the peer instead of going to it
	Err      error // what was expected and what came
}

func (e *Error) Error() string {
	if e.Received {
		return fmt.Sprintf("the peer sent the alert %v", e.Alert)
	}
	return fmt.Sprintf("%v (%v fault): %v", e.Alert, e.Fault, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Peerf is an Error for something wrong that the peer sent. The text says what
// was expected and what came.
func Peerf(a Alert, format string, args ...any) *Error {
	return &Error{Alert: a, Fault: Peer, Err: fmt.Errorf(format, args...)}
}

// Localf is an Error for a fault of this side.
func Localf(a Alert, format string, args ...any) *Error {
	return &Error{Alert: a, Fault: Local, Err: fmt.Errorf(format, args...)}
}
