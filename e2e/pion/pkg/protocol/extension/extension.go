// Package extension has the extensions of hellos, for message hooks, and the names
// of SRTP's protection profiles.
package extension

// An Extension is one extension of a hello. Marshal gives it with its type and
// length, as Unmarshal takes it.
type Extension interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
	TypeValue() TypeValue
}

// A TypeValue is an extension's type, as IANA numbers them.
type TypeValue uint16

// An SRTPProtectionProfile is a protection profile of DTLS-SRTP, as IANA numbers
// them.
type SRTPProtectionProfile uint16

// The profiles. Warning: those named NULL encrypt nothing. The two of AES-256 with
// SHA-1 are a draft's that never became an RFC.
const (
	SRTP_AES128_CM_HMAC_SHA1_80 SRTPProtectionProfile = 1 + iota
	SRTP_AES128_CM_HMAC_SHA1_32
	SRTP_AES256_CM_SHA1_80
	SRTP_AES256_CM_SHA1_32
	SRTP_NULL_HMAC_SHA1_80
	SRTP_NULL_HMAC_SHA1_32
	SRTP_AEAD_AES_128_GCM
	SRTP_AEAD_AES_256_GCM
)
