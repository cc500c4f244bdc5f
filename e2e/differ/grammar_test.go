package differ

import (
	"encoding/binary"
	"strings"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A shape says of what a part of a message is made: of a fixed number of bytes, or of
// a vector behind its length. A vector has one shape over and over, or is opaque.
type shape struct {
	name   string
	size   int // in bytes; zero: see prefix
	prefix int // bytes of the length in front; zero and no size: all that is left
	of     []shape
	repeat bool
	body   func(before []*node) []shape // what the content is made of, after what came before it
}

func fixed(name string, size int) shape    { return shape{name: name, size: size} }
func opaque(name string, prefix int) shape { return shape{name: name, prefix: prefix} }
func rest(name string) shape               { return shape{name: name} }
func list(name string, prefix int, of ...shape) shape {
	return shape{name: name, prefix: prefix, of: of, repeat: true}
}

// messageShape says of what a message is made. What nothing is said of is one part.
func messageShape(t protocol.HandshakeType, v protocol.Version) []shape {
	datagram := v == v.Over(protocol.Datagram)
	switch t {
	case protocol.ClientHello:
		parts := []shape{fixed("version", 2), fixed("random", 32), opaque("session_id", 1)}
		if datagram {
			parts = append(parts, opaque("cookie", 1))
		}
		return append(parts, list("cipher_suites", 2, fixed("suite", 2)), list("compression_methods", 1, fixed("method", 1)),
			extensions(clientExtensions))
	case protocol.ServerHello:
		return []shape{fixed("version", 2), fixed("random", 32), opaque("session_id", 1), fixed("cipher_suite", 2),
			fixed("compression_method", 1), extensions(serverExtensions)}
	case protocol.HelloVerifyRequest:
		return []shape{fixed("version", 2), opaque("cookie", 1)}
	case protocol.EncryptedExtensions:
		return []shape{extensions(serverExtensions)}
	case protocol.CertificateRequest:
		if v.Is13() {
			return []shape{opaque("context", 1), extensions(clientExtensions)}
		}
		return []shape{list("certificate_types", 1, fixed("type", 1)), list("signature_algorithms", 2, fixed("scheme", 2)),
			list("certificate_authorities", 2, opaque("authority", 2))}
	case protocol.Certificate:
		if v.Is13() {
			return []shape{opaque("context", 1), list("certificate_list", 3, opaque("certificate", 3), extensions(clientExtensions))}
		}
		return []shape{list("certificate_list", 3, opaque("certificate", 3))}
	case protocol.ServerKeyExchange:
		return []shape{fixed("curve_type", 1), fixed("group", 2), opaque("point", 1), fixed("scheme", 2), opaque("signature", 2)}
	case protocol.ClientKeyExchange:
		return []shape{opaque("point", 1)}
	case protocol.CertificateVerify:
		return []shape{fixed("scheme", 2), opaque("signature", 2)}
	case protocol.NewSessionTicket:
		if v.Is13() {
			return []shape{fixed("lifetime", 4), fixed("age_add", 4), opaque("nonce", 1), opaque("ticket", 2), extensions(clientExtensions)}
		}
		return []shape{fixed("lifetime", 4), opaque("ticket", 2)}
	}
	return []shape{rest("content")}
}

// extensions is a block of extensions, of whose bodies some can be taken apart too.
func extensions(bodies map[protocol.ExtensionType][]shape) shape {
	return list("extensions", 2, shape{name: "extension", of: []shape{
		fixed("type", 2),
		{name: "body", prefix: 2, body: func(before []*node) []shape {
			return bodies[extensionType(before[0])]
		}},
	}})
}

func extensionType(n *node) protocol.ExtensionType {
	return protocol.ExtensionType(binary.BigEndian.Uint16(n.leaf))
}

var clientExtensions = map[protocol.ExtensionType][]shape{
	protocol.ExtServerName:          {list("names", 2, fixed("type", 1), opaque("name", 2))},
	protocol.ExtSupportedGroups:     {list("groups", 2, fixed("group", 2))},
	protocol.ExtECPointFormats:      {list("formats", 1, fixed("format", 1))},
	protocol.ExtSignatureAlgorithms: {list("schemes", 2, fixed("scheme", 2))},
	protocol.ExtALPN:                {list("protocols", 2, opaque("protocol", 1))},
	protocol.ExtSupportedVersions:   {list("versions", 1, fixed("version", 2))},
	protocol.ExtPSKModes:            {list("modes", 1, fixed("mode", 1))},
	protocol.ExtKeyShare:            {list("shares", 2, fixed("group", 2), opaque("key", 2))},
	protocol.ExtRenegotiationInfo:   {opaque("verify_data", 1)},
	protocol.ExtSignatureAlgsCert:   {list("schemes", 2, fixed("scheme", 2))},
	protocol.ExtStatusRequest:       {fixed("type", 1), opaque("responders", 2), opaque("extensions", 2)},
}

var serverExtensions = map[protocol.ExtensionType][]shape{
	protocol.ExtECPointFormats:    {list("formats", 1, fixed("format", 1))},
	protocol.ExtALPN:              {list("protocols", 2, opaque("protocol", 1))},
	protocol.ExtSupportedVersions: {fixed("version", 2)},
	protocol.ExtKeyShare:          {fixed("group", 2), opaque("key", 2)},
	protocol.ExtRenegotiationInfo: {opaque("verify_data", 1)},
}

// A node is a part of a message, with what it is made of.
type node struct {
	name   string
	prefix int
	lie    int // what the length in front says beyond the truth
	leaf   []byte
	parts  []*node
}

// parse takes a message apart as far as it has its shape. It is the one part of what is
// returned.
func parse(t protocol.HandshakeType, v protocol.Version, body []byte) *node {
	whole := &node{name: t.String(), leaf: body}
	if parts, left, ok := takeAll(body, messageShape(t, v)); ok && len(left) == 0 {
		whole.leaf, whole.parts = nil, parts
	}
	return &node{parts: []*node{whole}}
}

func takeAll(in []byte, shapes []shape) (parts []*node, left []byte, ok bool) {
	for _, s := range shapes {
		if len(in) == 0 && s.name == "extensions" && s.prefix > 0 {
			break // the block may be absent
		}
		var part *node
		if part, in, ok = take(in, s, parts); !ok {
			return nil, nil, false
		}
		parts = append(parts, part)
	}
	return parts, in, true
}

func take(in []byte, s shape, before []*node) (n *node, left []byte, ok bool) {
	n = &node{name: s.name, prefix: s.prefix}
	switch {
	case s.size > 0:
		if len(in) < s.size {
			return nil, nil, false
		}
		n.leaf = in[:s.size]
		return n, in[s.size:], true
	case s.prefix == 0 && s.of != nil: // a struct
		n.parts, left, ok = takeAll(in, s.of)
		if ok && s.name == "extension" {
			n.name = extensionType(n.parts[0]).String()
		}
		return n, left, ok
	case s.prefix == 0:
		n.leaf = in
		return n, nil, true
	}
	if len(in) < s.prefix {
		return nil, nil, false
	}
	length := 0
	for _, b := range in[:s.prefix] {
		length = length<<8 | int(b)
	}
	in = in[s.prefix:]
	if len(in) < length {
		return nil, nil, false
	}
	n.leaf, left = in[:length], in[length:]
	n.split(s, before)
	return n, left, true
}

// split takes the content of a vector apart, if it has the form that it should.
func (n *node) split(s shape, before []*node) {
	shapes := s.of
	if s.body != nil {
		shapes = s.body(before)
	}
	if shapes == nil {
		return
	}
	var all []*node
	for in := n.leaf; len(in) > 0; {
		parts, left, ok := takeAll(in, shapes)
		if !ok || len(left) > 0 && !s.repeat {
			return
		}
		if s.repeat && len(parts) > 1 {
			parts = []*node{{name: "entry", parts: parts}}
		}
		all, in = append(all, parts...), left
	}
	n.leaf, n.parts = nil, all
}

// append appends what n is on the wire.
func (n *node) append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, n.prefix)...)
	b = append(b, n.leaf...)
	for _, part := range n.parts {
		b = part.append(b)
	}
	length := len(b) - start - n.prefix + n.lie
	for i := range n.prefix {
		b[start+i] = byte(length >> (8 * (n.prefix - 1 - i)))
	}
	return b
}

// A place is a node among its siblings.
type place struct {
	parent *node // nil: the message
	index  int
	path   string
}

func (p place) node() *node { return p.parent.parts[p.index] }

// places are all parts of a message, as they stand on the wire.
func (n *node) places() []place {
	var all []place
	var walk func(n *node, path string)
	walk = func(n *node, path string) {
		for i, part := range n.parts {
			at := strings.TrimPrefix(path+"."+part.name, ".")
			all = append(all, place{n, i, at})
			walk(part, at)
		}
	}
	walk(n, "")
	return all
}
