// Package extension has the extensions of hellos, for message hooks, and the names
// of SRTP's protection profiles.
package extension

import (
	"errors"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// An Extension is one extension of a hello. Marshal gives it with its type and
// length, as Unmarshal takes it.
type Extension interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
	TypeValue() TypeValue
}

// A TypeValue is an extension's type, as IANA numbers them.
type TypeValue uint16

// Raw is an Extension of any type. Hooks see nothing else, and may return what they
// like.
type Raw struct {
	Type TypeValue
	Body []byte
}

// TypeValue is the type.
func (r *Raw) TypeValue() TypeValue { return r.Type }

// Marshal appends the body to type and length.
func (r *Raw) Marshal() ([]byte, error) {
	var b wire.Builder
	message.AppendExtension(&b, protocol.ExtensionType(r.Type), func() { b.Raw(r.Body) })
	return b.Bytes()
}

// Unmarshal reads one extension, and copies it.
func (r *Raw) Unmarshal(data []byte) error {
	for t, body := range message.Extensions(data).All() {
		if len(body)+4 == len(data) {
			*r = Raw{TypeValue(t), append([]byte(nil), body...)}
			return nil
		}
		break
	}
	return errors.New("extension: not one extension")
}

// Block is what extensions are in a hello, without the length of all.
func Block(extensions []Extension) (message.Extensions, error) {
	block := message.Extensions{}
	for _, x := range extensions {
		b, err := x.Marshal()
		if err != nil {
			return nil, err
		}
		block = append(block, b...)
	}
	return block, nil
}

// Split is the extensions of a hello, each as it is.
func Split(block message.Extensions) (extensions []Extension) {
	for t, body := range block.All() {
		extensions = append(extensions, &Raw{TypeValue(t), append([]byte(nil), body...)})
	}
	return extensions
}

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
