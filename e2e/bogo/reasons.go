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
// reason: where BoringSSL tells more apart than this library does, config.json
// says so.
func reason(err error) string {
	if config := (*dtls.ConfigError)(nil); errors.As(err, &config) {
		return configReason(config)
	}
	for _, r := range sentinels {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return "CERTIFICATE_VERIFY_FAILED"
	}
	ended := (*dtls.Error)(nil)
	switch {
	case !errors.As(err, &ended):
		return "FAILED" // an expectation of the shim's
	case ended.Received:
		return receivedReason(ended.Alert)
	}
	text := ended.Err.Error()
	for _, r := range reasons {
		if r.alert == ended.Alert && strings.Contains(text, r.says) {
			return r.reason
		}
	}
	return strings.ToUpper(ended.Alert.String())
}

var sentinels = []struct {
	err    error
	reason string
}{
	{dtls.ErrTimeout, "READ_TIMEOUT_EXPIRED"},
	{errNoGoodbye, "UNCLEAN_SHUTDOWN"},
	{errDataAtEnd, "APPLICATION_DATA_ON_SHUTDOWN"},
	{errCertificateCallback, "CERT_CB_ERROR"},
	{errHello, "CONNECTION_REJECTED"},
	{alert.NoSecureRenegotiation, "UNSAFE_LEGACY_RENEGOTIATION_DISABLED"},
	{alert.UnknownProtocol, "INVALID_ALPN_PROTOCOL"},
	{alert.BadSRTPProfile, "BAD_SRTP_PROTECTION_PROFILE_LIST"},
	{errStatus, "OCSP_CB_ERROR"},
	{errTimestamps, "INVALID_SCT_LIST"},

	{alert.NotTLS, "WRONG_VERSION_NUMBER"},
	{alert.HTTPRequest, "HTTP_REQUEST"},
	{alert.HTTPProxyRequest, "HTTPS_PROXY_REQUEST"},
	{alert.RecordVersion, "WRONG_VERSION_NUMBER"},
	{alert.RecordTooLong, "ENCRYPTED_LENGTH_TOO_LONG"},
	{alert.PlaintextTooLong, "DATA_LENGTH_TOO_LONG"},
	{alert.NoContentType, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"},
	{alert.OuterContentType, "INVALID_OUTER_RECORD_TYPE"},
	{alert.UnexpectedRecord, "UNEXPECTED_RECORD"},
	{alert.TooManyEmptyRecords, "TOO_MANY_EMPTY_FRAGMENTS"},
	{alert.BadChangeCipherSpec, "BAD_CHANGE_CIPHER_SPEC"},
	{alert.MalformedAlert, "BAD_ALERT"},
	{alert.UnknownAlertLevel, "UNKNOWN_ALERT_TYPE"},
	{alert.TooManyWarnings, "TOO_MANY_WARNING_ALERTS"},
	{alert.UnexpectedWarning, "BAD_ALERT"},
	{alert.MessageNotDue, "UNEXPECTED_MESSAGE"},
	{alert.ExcessHandshakeData, "EXCESS_HANDSHAKE_DATA"},
	{alert.TooManyKeyUpdates, "TOO_MANY_KEY_UPDATES"},
	{alert.MessagesUsedUp, "overflow"},
	{alert.MessageTooLong, "EXCESSIVE_MESSAGE_SIZE"},
	{alert.Renegotiation, "NO_RENEGOTIATION"},

	{alert.UnknownSession, "SERVER_ECHOED_INVALID_SESSION_ID"},
	{alert.WrongSessionVersion, "OLD_SESSION_VERSION_NOT_RETURNED"},
	{alert.WrongSessionSuite, "OLD_SESSION_CIPHER_NOT_RETURNED"},
	{alert.WrongSessionHash, "OLD_SESSION_PRF_HASH_MISMATCH"},
	{alert.WrongBinderCount, "PSK_IDENTITY_BINDER_COUNT_MISMATCH"},
	{alert.BadBinder, "DIGEST_CHECK_FAILED"},
	{alert.PreSharedKeyNotLast, "PRE_SHARED_KEY_MUST_BE_LAST"},
	{alert.SessionLostMasterSecret, "RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION"},
	{alert.SessionGainedMasterSecret, "RESUMED_NON_EMS_SESSION_WITH_EMS_EXTENSION"},
	{alert.NoCommonSuite, "NO_SHARED_CIPHER"},
	{alert.NoCommonScheme, "NO_COMMON_SIGNATURE_ALGORITHMS"},
	{alert.NoCommonCertificateType, "UNKNOWN_CERTIFICATE_TYPE"},
	{alert.UnsupportedCertificateType, "UNSUPPORTED_CERTIFICATE"},
	{alert.NoCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE"},
	{alert.UnknownCompression, "UNKNOWN_CERT_COMPRESSION_ALG"},
	{alert.DecompressionFailed, "CERT_DECOMPRESSION_FAILED"},
	{alert.CertificateTooLong, "UNCOMPRESSED_CERT_TOO_LARGE"},
	{alert.NoMatchingIssuer, "NO_MATCHING_ISSUER"},
	{alert.NoCommonCurve, "WRONG_CURVE"},
	{alert.WrongScheme, "WRONG_SIGNATURE_TYPE"},
	{alert.WrongCertificateType, "WRONG_CERTIFICATE_TYPE"},
	{alert.WrongCurve, "BAD_ECC_CERT"},

	{dtls.ErrEarlyDataRejected, "EARLY_DATA_REJECTED"},
	{alert.EarlyDataVersion, "WRONG_VERSION_ON_EARLY_DATA"},
	{alert.EarlyDataSuite, "CIPHER_MISMATCH_ON_EARLY_DATA"},
	{alert.EarlyDataProtocol, "ALPN_MISMATCH_ON_EARLY_DATA"},
	{alert.TooMuchEarlyData, "TOO_MUCH_READ_EARLY_DATA"},
	{alert.TooMuchSkippedData, "TOO_MUCH_SKIPPED_EARLY_DATA"},
	{alert.HandshakeIncomplete, "HANDSHAKE_NOT_COMPLETE"},

	{alert.ECHRejected, "ECH_REJECTED"},
	{alert.BadEncryptedHello, "DECRYPTION_FAILED"},
	{alert.MisencodedInnerHello, "DECODE_ERROR"},
	{alert.BadInnerHello, "INVALID_CLIENT_HELLO_INNER"},
	{alert.BadOuterExtensions, "INVALID_OUTER_EXTENSION"},
	{alert.InconsistentECH, "INCONSISTENT_ECH_NEGOTIATION"},
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

// reasons are by the alert that goes out and what the error says. The first that
// fits counts; without any it is the alert's name.
var reasons = []struct {
	alert  alert.Alert
	says   string
	reason string
}{
	{alert.BadRecordMAC, "", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"},

	{alert.UnexpectedMessage, "no content type", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"}, // only padding
	{alert.UnexpectedMessage, "goes on", "EXCESS_HANDSHAKE_DATA"},
	{alert.UnexpectedMessage, "go on", "EXCESS_HANDSHAKE_DATA"},
	{alert.UnexpectedMessage, "were ready", "EXCESS_HANDSHAKE_DATA"}, // the keys
	{alert.UnexpectedMessage, "warnings in a row", "TOO_MANY_WARNING_ALERTS"},
	{alert.UnexpectedMessage, "empty records in a row", "TOO_MANY_EMPTY_FRAGMENTS"},
	{alert.UnexpectedMessage, "KeyUpdate: more than", "TOO_MANY_KEY_UPDATES"},
	{alert.UnexpectedMessage, "does not speak TLS", "INVALID_RECORD_TYPE"},
	{alert.UnexpectedMessage, "ChangeCipherSpec is", "BAD_CHANGE_CIPHER_SPEC"},
	{alert.UnexpectedMessage, "ChangeCipherSpec came after", "UNEXPECTED_RECORD"},
	{alert.UnexpectedMessage, "ChangeCipherSpec after", "UNEXPECTED_RECORD"},
	{alert.UnexpectedMessage, "came after", "UNEXPECTED_MESSAGE"},
	{alert.UnexpectedMessage, "record", "UNEXPECTED_RECORD"},
	{alert.UnexpectedMessage, "application data", "UNEXPECTED_RECORD"},
	{alert.UnexpectedMessage, "without protection", "UNEXPECTED_RECORD"},
	{alert.UnexpectedMessage, "inside of a handshake message", "UNEXPECTED_RECORD"},

	{alert.RecordOverflow, "plaintext", "DATA_LENGTH_TOO_LONG"},
	{alert.RecordOverflow, "a record has", "ENCRYPTED_LENGTH_TOO_LONG"},
	{alert.RecordOverflow, "", "DATA_LENGTH_TOO_LONG"},

	{alert.HandshakeFailure, "no cipher suite in common", "NO_SHARED_CIPHER"},
	{alert.HandshakeFailure, "no key exchange group in common", "NO_SHARED_GROUP"},
	{alert.HandshakeFailure, "no signature scheme in common", "NO_COMMON_SIGNATURE_ALGORITHMS"},
	{alert.HandshakeFailure, "signature_algorithms", "NO_COMMON_SIGNATURE_ALGORITHMS"},
	{alert.HandshakeFailure, "can sign", "NO_COMMON_SIGNATURE_ALGORITHMS"},

	{alert.DecryptError, "signature", "BAD_SIGNATURE"},
	{alert.DecryptError, "Finished", "DIGEST_CHECK_FAILED"},

	{alert.ProtocolVersion, "a record has", "WRONG_VERSION_NUMBER"},
	{alert.ProtocolVersion, "", "UNSUPPORTED_PROTOCOL"},
	{alert.UnsupportedExtension, "", "UNEXPECTED_EXTENSION"},
	{alert.MissingExtension, "key_share", "MISSING_KEY_SHARE"},
	{alert.MissingExtension, "supported_groups", "NO_SHARED_GROUP"},

	{alert.IllegalParameter, "expected a share", "BAD_ECPOINT"},
	{alert.IllegalParameter, "expected a public key", "BAD_ECPOINT"},
	{alert.IllegalParameter, "expected a valid share", "BAD_ECPOINT"},
	{alert.IllegalParameter, "of group", "WRONG_CURVE"},
	{alert.IllegalParameter, "with group", "WRONG_CURVE"},
	{alert.IllegalParameter, "asks for group", "WRONG_CURVE"},
	{alert.IllegalParameter, "just the key share", "WRONG_CURVE"},
	{alert.IllegalParameter, "asks for no change", "EMPTY_HELLO_RETRY_REQUEST"},
	{alert.IllegalParameter, "cipher suite", "WRONG_CIPHER_RETURNED"},
	{alert.IllegalParameter, "somebody changed the hello", "TLS13_DOWNGRADE"},
	{alert.IllegalParameter, "does not belong into", "UNEXPECTED_EXTENSION"},
	{alert.IllegalParameter, "client_shares: entry", "DUPLICATE_KEY_SHARE"},
	{alert.IllegalParameter, "extensions: entry", "DUPLICATE_EXTENSION"},
	{alert.IllegalParameter, "compress_certificate: ", "ERROR_PARSING_EXTENSION"},
	{alert.IllegalParameter, "certificate_types: ", "DECODE_ERROR"},
	{alert.IllegalParameter, "ec_point_formats", "ERROR_PARSING_EXTENSION"},
	{alert.IllegalParameter, "ALPN protocol", "INVALID_ALPN_PROTOCOL"},
	{alert.IllegalParameter, "application_layer_protocol_negotiation", "INVALID_ALPN_PROTOCOL"},
	{alert.IllegalParameter, "an alert of level", "UNKNOWN_ALERT_TYPE"},
	{alert.IllegalParameter, "alert level", "UNKNOWN_ALERT_TYPE"},
	{alert.IllegalParameter, "supported_versions selects", "UNSUPPORTED_PROTOCOL"},
	{alert.IllegalParameter, "the server chose", "SECOND_SERVERHELLO_VERSION_MISMATCH"},
	{alert.IllegalParameter, "null compression", "INVALID_COMPRESSION_LIST"},
	{alert.IllegalParameter, "compression methods", "INVALID_COMPRESSION_LIST"},
	{alert.IllegalParameter, "compression method", "UNSUPPORTED_COMPRESSION_ALGORITHM"},
	{alert.IllegalParameter, "more than", "EXCESSIVE_MESSAGE_SIZE"},
	{alert.IllegalParameter, "fragment", "FRAGMENT_MISMATCH"},

	{alert.DecodeError, "an alert of", "BAD_ALERT"},
	{alert.DecodeError, "as a warning", "BAD_ALERT"},
	{alert.DecodeError, "fragment: ", "BAD_HANDSHAKE_RECORD"},
	{alert.DecodeError, "ChangeCipherSpec", "BAD_CHANGE_CIPHER_SPEC"},
	{alert.DecodeError, "raw public key can't be parsed", "DECODE_ERROR"},
	{alert.DecodeError, "cert_data: length 0", "INVALID_RAW_PUBLIC_KEY"},
	{alert.DecodeError, "can't be parsed", "CANNOT_PARSE_LEAF_CERT"},

	{alert.BadCertificate, "KeyUsage", "KEY_USAGE_BIT_INCORRECT"},
}
