// Package handshake has the messages that hooks see.
package handshake

// RandomBytesLength is how many bytes of a hello's random are random for certain:
// the four before them were a time once.
const RandomBytesLength = 28

// A Message is the body of a handshake message, without its header.
type Message interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
	Type() Type
}

// A Type is the type of a handshake message.
type Type uint8

type MessageClientHello struct{ Message }
type MessageServerHello struct{ Message }
type MessageCertificateRequest struct{ Message }
