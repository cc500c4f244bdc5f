package alert

import "errors"

// A Reason says why a connection ended, finer than its alert: several reasons
// share one alert, and what a caller does about them differs. It is an error, so
// that errors.Is finds it in whatever a call returned. Code gives it as the first
// %w of Peerf and Localf, whose text goes on with what was expected and what
// came:
//
//	alert.Peerf(alert.HandshakeFailure, "%w for %v", alert.NoCommonSuite, version)
type Reason string

func (r Reason) Error() string { return string(r) }

// Negotiation.
const (
	NoCommonVersion  Reason = "no version in common"
	NoCommonSuite    Reason = "no cipher suite in common"
	NoCommonGroup    Reason = "no key exchange group in common"
	NoCommonScheme   Reason = "no signature scheme in common"
	NoCommonPSK      Reason = "no pre-shared key in common"
	NoCommonPSKMode  Reason = "no pre-shared key mode in common"
	NoCommonProtocol Reason = "no application protocol in common"

	NoCommonCertificateType Reason = "no certificate type in common"
	NoMatchingIssuer        Reason = "no certificate of an issuer that the peer asks for"
	NoCommonCurve           Reason = "no certificate on a curve that the peer names"
	NoSecureRenegotiation   Reason = "the peer does not signal secure renegotiation"
	UnknownProtocol         Reason = "an application protocol that was not offered"
	BadSRTPProfile          Reason = "not one SRTP profile of those on offer"
)

// What the hellos must not say.
const (
	VersionChanged         Reason = "another version than before"
	Downgrade              Reason = "somebody made the handshake use an older version"
	WrongSuite             Reason = "a cipher suite that was not offered"
	WrongGroup             Reason = "a key exchange group that was not offered"
	MissingKeyShare        Reason = "no key share"
	BadKeyShare            Reason = "a bad key share"
	WrongCompression       Reason = "a compression method that was not offered"
	WrongCompressionList   Reason = "bad compression methods"
	EmptyRetry             Reason = "a HelloRetryRequest that asks for no change"
	NoExtendedMasterSecret Reason = "no extended_master_secret"
	RenegotiationMismatch  Reason = "renegotiation_info does not fit"
	WrongRecordSize        Reason = "a limit of records that was not offered"
	UnexpectedExtension    Reason = "an unexpected extension"
	Contradiction          Reason = "what was agreed before is contradicted"
)

// 0-RTT.
const (
	EarlyDataVersion    Reason = "early data was offered, and the version does not have it"
	EarlyDataSuite      Reason = "early data was accepted under another cipher suite"
	EarlyDataProtocol   Reason = "early data was accepted under another application protocol"
	TooMuchEarlyData    Reason = "too much early data"
	TooMuchSkippedData  Reason = "too much early data to skip"
	HandshakeIncomplete Reason = "the handshake is not complete"
)

// Authentication.
const (
	BadSignature               Reason = "a wrong signature"
	BadFinished                Reason = "Finished does not fit the handshake"
	MalformedCertificate       Reason = "a certificate that can't be parsed"
	MalformedRawKey            Reason = "a raw public key that can't be parsed"
	EmptyRawKey                Reason = "an empty raw public key"
	DefaultCertificateTypes    Reason = "a list of certificate types that says no more than none would"
	WrongKeyUsage              Reason = "a certificate whose KeyUsage forbids its use"
	KeyMismatch                Reason = "a private key that is not the public key's"
	WrongDelegation            Reason = "a delegated credential that is not good"
	WrongScheme                Reason = "a signature scheme that was not asked for"
	WrongKey                   Reason = "a key that is for other schemes alone"
	WrongCertificateType       Reason = "a certificate of a type that was not asked for"
	WrongCurve                 Reason = "a certificate on a curve that was not offered"
	NoCertificate              Reason = "the peer shows no certificate"
	WrongFingerprint           Reason = "a certificate with another fingerprint"
	UnsupportedCertificateType Reason = "a certificate type that is not taken here"
	UnknownCompression         Reason = "a certificate is compressed by an algorithm that was not offered"
	DecompressionFailed        Reason = "a certificate can't be decompressed"
	CertificateTooLong         Reason = "a certificate is too long when it is decompressed"
)

// Encrypted Client Hello (RFC 9849).
const (
	ECHRejected          Reason = "the server rejects the encrypted ClientHello"
	InconsistentECH      Reason = "contradictory answers to an encrypted ClientHello"
	BadEncryptedHello    Reason = "an encrypted ClientHello that can't be decrypted"
	MismatchedHello      Reason = "an encrypted ClientHello for another key than before"
	MisencodedInnerHello Reason = "a malformed inner ClientHello"
	BadInnerHello        Reason = "a bad inner ClientHello"
	BadOuterExtensions   Reason = "bad ech_outer_extensions"
)

// Sessions.
const (
	UnknownSession      Reason = "a session is resumed that was not offered"
	WrongSessionVersion Reason = "the session is of another version"
	WrongSessionSuite   Reason = "the session is of another cipher suite"
	WrongSessionHash    Reason = "the session's secret is for another hash"
	WrongBinderCount    Reason = "not one binder for each identity"
	BadBinder           Reason = "the binder does not fit the ClientHello"
	PreSharedKeyNotLast Reason = "pre_shared_key is not the last extension"

	// RFC 7627 5.3.
	SessionLostMasterSecret   Reason = "a session with extended_master_secret is resumed without it"
	SessionGainedMasterSecret Reason = "a session without extended_master_secret is resumed with it"
)

// What can't be read.
const (
	MalformedClientHello  Reason = "malformed ClientHello"
	MalformedMessage      Reason = "malformed message"
	MalformedExtension    Reason = "malformed extension"
	MalformedPreSharedKey Reason = "malformed pre_shared_key"
	DuplicateExtension    Reason = "an extension is there twice"
	DuplicateKeyShare     Reason = "a key share is there twice"
	MalformedFragment     Reason = "malformed fragment of a message"
	FragmentMismatch      Reason = "fragments of a message contradict each other"
	MalformedACK          Reason = "malformed ACK"
)

// Records that are wrong in themselves, or come where they may not.
const (
	NotTLS              Reason = "the peer does not speak TLS"
	HTTPRequest         Reason = "the peer speaks HTTP without TLS"
	HTTPProxyRequest    Reason = "the peer takes this for an HTTP proxy"
	RecordVersion       Reason = "a record of another version"
	RecordTooLong       Reason = "a record is too long"
	PlaintextTooLong    Reason = "a record has too much plaintext"
	NoContentType       Reason = "a record without content type"
	OuterContentType    Reason = "a protected record says that it is something else"
	UnexpectedRecord    Reason = "unexpected record"
	TooManyEmptyRecords Reason = "too many empty records"
	BadChangeCipherSpec Reason = "malformed ChangeCipherSpec"
)

// Alerts that the peer should not have sent.
const (
	MalformedAlert    Reason = "malformed alert"
	UnknownAlertLevel Reason = "an alert of an unknown level"
	TooManyWarnings   Reason = "too many warnings"
	UnexpectedWarning Reason = "a warning that the version does not have"
)

// Handshake messages that come where they may not.
const (
	MessageNotDue       Reason = "a message that is not due"
	ExcessHandshakeData Reason = "handshake data goes on where it may not"
	TooManyKeyUpdates   Reason = "too many KeyUpdates"
	MessagesUsedUp      Reason = "message_seq is used up"
	MessageTooLong      Reason = "a message is too long"
	Renegotiation       Reason = "the peer wants to renegotiate"
)

// Aborted says that the application ended the connection.
const Aborted Reason = "aborted"

// Reason is why the connection ended; empty if its alert says all that is known.
func (e *Error) Reason() Reason {
	var r Reason
	errors.As(e.Err, &r)
	return r
}
