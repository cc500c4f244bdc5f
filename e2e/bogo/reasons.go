package main

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/ech"
)

// reason names the error that ended a connection as BoringSSL would. It is one
// reason, where BoringSSL's queue of errors may have several: config.json says so
// where a test looks for another of them.
func reason(err error) string {
	if config := (*dtls.ConfigError)(nil); errors.As(err, &config) {
		return configReason(config)
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return "CERTIFICATE_VERIFY_FAILED"
	}
	ended := (*dtls.Error)(nil)
	if !errors.As(err, &ended) {
		return "FAILED" // an expectation of the shim's
	}
	if ended.Received {
		return receivedReason(ended.Alert)
	}
	if name, ok := reasons[ended.Reason()]; ok {
		return name
	}
	if name, ok := alerts[ended.Alert]; ok {
		return name
	}
	return strings.ToUpper(ended.Alert.String())
}

// sentinels are errors beside those of the protocol.
var sentinels = []struct {
	err  error
	name string
}{
	{dtls.ErrTimeout, "READ_TIMEOUT_EXPIRED"},
	{dtls.ErrEarlyDataRejected, "EARLY_DATA_REJECTED"},
	{errNoGoodbye, "UNCLEAN_SHUTDOWN"},
	{errDataAtEnd, "APPLICATION_DATA_ON_SHUTDOWN"},
	{errCertificateCallback, "CERT_CB_ERROR"},
	{errHello, "CONNECTION_REJECTED"},
	{errStatus, "OCSP_CB_ERROR"},
	{errTimestamps, "INVALID_SCT_LIST"},
}

// reasons are by the reason of the library's errors.
var reasons = map[alert.Reason]string{
	alert.NoCommonVersion:         "UNSUPPORTED_PROTOCOL",
	alert.NoCommonSuite:           "NO_SHARED_CIPHER",
	alert.NoCommonGroup:           "NO_SHARED_GROUP",
	alert.NoCommonScheme:          "NO_COMMON_SIGNATURE_ALGORITHMS",
	alert.NoCommonPSK:             "PSK_IDENTITY_NOT_FOUND",
	alert.NoCommonPSKMode:         "NO_SUPPORTED_PSK_MODE",
	alert.NoCommonCertificateType: "UNKNOWN_CERTIFICATE_TYPE",
	alert.NoMatchingIssuer:        "NO_MATCHING_ISSUER",
	alert.WrongKey:                "UNSUPPORTED_ALGORITHM",
	alert.NoCommonCurve:           "WRONG_CURVE",
	alert.UnknownProtocol:         "INVALID_ALPN_PROTOCOL",
	alert.BadSRTPProfile:          "BAD_SRTP_PROTECTION_PROFILE_LIST",

	alert.VersionChanged:        "SECOND_SERVERHELLO_VERSION_MISMATCH",
	alert.Downgrade:             "TLS13_DOWNGRADE",
	alert.WrongSuite:            "WRONG_CIPHER_RETURNED",
	alert.WrongGroup:            "WRONG_CURVE",
	alert.MissingKeyShare:       "MISSING_KEY_SHARE",
	alert.BadKeyShare:           "BAD_ECPOINT",
	alert.WrongCompression:      "UNSUPPORTED_COMPRESSION_ALGORITHM",
	alert.WrongCompressionList:  "INVALID_COMPRESSION_LIST",
	alert.EmptyRetry:            "EMPTY_HELLO_RETRY_REQUEST",
	alert.NoSecureRenegotiation: "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
	alert.RenegotiationMismatch: "RENEGOTIATION_MISMATCH",
	alert.UnexpectedExtension:   "UNEXPECTED_EXTENSION",
	alert.Contradiction:         "INVALID_MESSAGE",

	alert.EarlyDataVersion:    "WRONG_VERSION_ON_EARLY_DATA",
	alert.EarlyDataSuite:      "CIPHER_MISMATCH_ON_EARLY_DATA",
	alert.EarlyDataProtocol:   "ALPN_MISMATCH_ON_EARLY_DATA",
	alert.TooMuchEarlyData:    "TOO_MUCH_READ_EARLY_DATA",
	alert.TooMuchSkippedData:  "TOO_MUCH_SKIPPED_EARLY_DATA",
	alert.HandshakeIncomplete: "HANDSHAKE_NOT_COMPLETE",

	alert.BadSignature:               "BAD_SIGNATURE",
	alert.BadFinished:                "DIGEST_CHECK_FAILED",
	alert.MalformedCertificate:       "CANNOT_PARSE_LEAF_CERT",
	alert.MalformedRawKey:            "DECODE_ERROR",
	alert.EmptyRawKey:                "INVALID_RAW_PUBLIC_KEY",
	alert.DefaultCertificateTypes:    "DECODE_ERROR",
	alert.WrongKeyUsage:              "KEY_USAGE_BIT_INCORRECT",
	alert.WrongScheme:                "WRONG_SIGNATURE_TYPE",
	alert.WrongCertificateType:       "WRONG_CERTIFICATE_TYPE",
	alert.WrongCurve:                 "BAD_ECC_CERT",
	alert.NoCertificate:              "PEER_DID_NOT_RETURN_A_CERTIFICATE",
	alert.UnsupportedCertificateType: "UNSUPPORTED_CERTIFICATE",
	alert.UnknownCompression:         "UNKNOWN_CERT_COMPRESSION_ALG",
	alert.DecompressionFailed:        "CERT_DECOMPRESSION_FAILED",
	alert.CertificateTooLong:         "UNCOMPRESSED_CERT_TOO_LARGE",

	alert.ECHRejected:          "ECH_REJECTED",
	alert.InconsistentECH:      "INCONSISTENT_ECH_NEGOTIATION",
	alert.BadEncryptedHello:    "DECRYPTION_FAILED",
	alert.MismatchedHello:      "DECODE_ERROR",
	alert.MisencodedInnerHello: "DECODE_ERROR",
	alert.BadInnerHello:        "INVALID_CLIENT_HELLO_INNER",
	alert.BadOuterExtensions:   "INVALID_OUTER_EXTENSION",

	alert.UnknownSession:            "SERVER_ECHOED_INVALID_SESSION_ID",
	alert.WrongSessionVersion:       "OLD_SESSION_VERSION_NOT_RETURNED",
	alert.WrongSessionSuite:         "OLD_SESSION_CIPHER_NOT_RETURNED",
	alert.WrongSessionHash:          "OLD_SESSION_PRF_HASH_MISMATCH",
	alert.WrongBinderCount:          "PSK_IDENTITY_BINDER_COUNT_MISMATCH",
	alert.BadBinder:                 "DIGEST_CHECK_FAILED",
	alert.PreSharedKeyNotLast:       "PRE_SHARED_KEY_MUST_BE_LAST",
	alert.SessionLostMasterSecret:   "RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION",
	alert.SessionGainedMasterSecret: "RESUMED_NON_EMS_SESSION_WITH_EMS_EXTENSION",

	alert.MalformedClientHello:  "CLIENTHELLO_PARSE_FAILED",
	alert.MalformedMessage:      "DECODE_ERROR",
	alert.MalformedExtension:    "DECODE_ERROR",
	alert.MalformedPreSharedKey: "DECODE_ERROR",
	alert.DuplicateExtension:    "DUPLICATE_EXTENSION",
	alert.DuplicateKeyShare:     "DUPLICATE_KEY_SHARE",
	alert.MalformedFragment:     "BAD_HANDSHAKE_RECORD",
	alert.FragmentMismatch:      "FRAGMENT_MISMATCH",
	alert.MalformedACK:          "DECODE_ERROR",

	alert.NotTLS:              "WRONG_VERSION_NUMBER",
	alert.HTTPRequest:         "HTTP_REQUEST",
	alert.HTTPProxyRequest:    "HTTPS_PROXY_REQUEST",
	alert.RecordVersion:       "WRONG_VERSION_NUMBER",
	alert.RecordTooLong:       "ENCRYPTED_LENGTH_TOO_LONG",
	alert.PlaintextTooLong:    "DATA_LENGTH_TOO_LONG",
	alert.NoContentType:       "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
	alert.OuterContentType:    "INVALID_OUTER_RECORD_TYPE",
	alert.UnexpectedRecord:    "UNEXPECTED_RECORD",
	alert.TooManyEmptyRecords: "TOO_MANY_EMPTY_FRAGMENTS",
	alert.BadChangeCipherSpec: "BAD_CHANGE_CIPHER_SPEC",

	alert.MalformedAlert:    "BAD_ALERT",
	alert.UnknownAlertLevel: "UNKNOWN_ALERT_TYPE",
	alert.TooManyWarnings:   "TOO_MANY_WARNING_ALERTS",
	alert.UnexpectedWarning: "BAD_ALERT",

	alert.MessageNotDue:       "UNEXPECTED_MESSAGE",
	alert.ExcessHandshakeData: "EXCESS_HANDSHAKE_DATA",
	alert.TooManyKeyUpdates:   "TOO_MANY_KEY_UPDATES",
	alert.MessagesUsedUp:      "overflow",
	alert.MessageTooLong:      "EXCESSIVE_MESSAGE_SIZE",
	alert.Renegotiation:       "NO_RENEGOTIATION",
}

// alerts are the names of those that say enough, where BoringSSL has another.
var alerts = map[alert.Alert]string{
	alert.BadRecordMAC: "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
}

// configReason is by the field of a Config that can't work.
func configReason(e *dtls.ConfigError) string {
	switch {
	case errors.Is(e, ech.ErrConfig):
		return "INVALID_ECH_CONFIG_LIST"
	case errors.Is(e, alert.KeyMismatch):
		return "KEY_VALUES_MISMATCH"
	case errors.Is(e, alert.WrongScheme):
		return "INVALID_SIGNATURE_ALGORITHM"
	}
	switch e.Field {
	case "EncryptedClientHelloConfigList":
		return "UNUSABLE_ECH_CONFIG_LIST"
	case "MinVersion", "MaxVersion":
		return "NO_SUPPORTED_VERSIONS_ENABLED"
	case "NextProtos":
		return "INVALID_ALPN_PROTOCOL"
	}
	return "INVALID_CONFIGURATION"
}

// receivedReason names an alert of the peer. BoringSSL tells those that SSL 3.0
// had from later ones.
func receivedReason(a alert.Alert) string {
	name := strings.ToUpper(a.String())
	if a <= alert.IllegalParameter && a != alert.RecordOverflow {
		return "SSLV3_ALERT_" + name
	}
	return "TLSV1_ALERT_" + name
}
