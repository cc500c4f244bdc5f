package dtls

import (
	"sync"

	"github.com/pion/dtls/v3/pkg/protocol/handshake"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// rewrite is the hooks as a RewriteMessage; nil if there are none. A hook returns the
// message to send; nil leaves it as it is.
func (c *Config) rewrite() func(godwit.HandshakeType, []byte) []byte {
	if c.ClientHelloMessageHook == nil && c.ServerHelloMessageHook == nil && c.CertificateRequestMessageHook == nil && c.HelloRandomBytesGenerator == nil {
		return nil
	}
	clientHello := c.helloHook()
	return func(kind godwit.HandshakeType, body []byte) []byte {
		switch kind {
		case godwit.ClientHello:
			return hooked(body, clientHello)
		case godwit.ServerHello:
			return hooked(body, c.ServerHelloMessageHook)
		case godwit.CertificateRequest:
			return hooked(body, c.CertificateRequestMessageHook)
		}
		return nil
	}
}

// helloHook is the hook for the ClientHellos of one association, with random bytes of
// the application's, which are the same in all of them.
func (c *Config) helloHook() func(handshake.MessageClientHello) handshake.Message {
	if c.HelloRandomBytesGenerator == nil {
		return c.ClientHelloMessageHook
	}
	random := sync.OnceValue(c.HelloRandomBytesGenerator)
	return func(m handshake.MessageClientHello) handshake.Message {
		m.Random.RandomBytes = random()
		if c.ClientHelloMessageHook == nil {
			return &m
		}
		return c.ClientHelloMessageHook(m)
	}
}

// hooked is what a hook makes of a body. What can't be written down is a message that
// can't be parsed, and ends the handshake.
func hooked[M any, P interface {
	*M
	handshake.Message
}](body []byte, hook func(M) handshake.Message) []byte {
	if hook == nil {
		return nil
	}
	var m M
	if err := P(&m).Unmarshal(body); err != nil {
		return []byte{}
	}
	out := hook(m)
	if out == nil {
		return nil
	}
	written, err := out.Marshal()
	if err != nil {
		return []byte{}
	}
	return written
}
