package message

import (
	"strings"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Bodies of extensions: what stands behind type and length. Those of the key
// exchange and of resumption are in extension_keys.go; the one form of an
// extension that has no content is read by ParseEmptyExtension.

// hostName is the one NameType (RFC 6066 3).
const hostName = 0

// ParseServerName reads server_name as a client sends it (RFC 6066 3):
// ServerName server_name_list<1..2^16-1>, each uint8 name_type and opaque
// name<1..2^16-1>. The list must hold exactly one name, a host_name in printable
// ASCII without a trailing dot, else illegal_parameter; no other type was ever
// defined. Whether it is a name and not an IP address is not looked at.
func ParseServerName(body []byte) (string, error) {
	r := read(protocol.ExtServerName, body)
	var names []string
	r.each(r.vector16("server_name_list", 1, max16), func() {
		if t := r.uint8("name_type"); t != hostName {
			r.fail(alert.IllegalParameter, "name_type", "got %d, want host_name, %d", t, hostName)
		}
		if len(names) == 1 {
			r.fail(alert.IllegalParameter, "server_name_list", "more than one host_name")
		}
		names = append(names, string(r.vector16("host_name", 1, max16)))
	})
	if err := r.done(); err != nil {
		return "", err
	}
	name := names[0]
	if strings.HasSuffix(name, ".") || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", alert.Peerf(alert.IllegalParameter, "%w: server_name: host_name: %q is not ASCII without a trailing dot", alert.MalformedExtension, name)
	}
	return name, nil
}

// AppendServerName appends a server_name with one host_name.
func AppendServerName(b *wire.Builder, name string) {
	b.Vector16(func() {
		b.Uint8(hostName)
		b.Bytes16([]byte(name))
	})
}

// ParseMaxFragmentLength reads max_fragment_length (RFC 6066 4): uint8, n for
// 2^(8+n) bytes. Another n than 1 to 4 is illegal_parameter.
func ParseMaxFragmentLength(body []byte) (uint8, error) {
	r := read(protocol.ExtMaxFragmentLength, body)
	n := r.uint8("max_fragment_length")
	if r.err == nil && (n < 1 || n > 4) {
		r.fail(alert.IllegalParameter, "max_fragment_length", "got %d, want 1 to 4", n)
	}
	return n, r.done()
}

// AppendMaxFragmentLength appends a max_fragment_length.
func AppendMaxFragmentLength(b *wire.Builder, n uint8) { b.Uint8(n) }

// ParseStatusRequest reads status_request as a client sends it (RFC 6066 8):
// uint8 status_type; for ocsp(1) ResponderID responder_id_list<0..2^16-1>, each
// opaque<1..2^16-1>, and opaque request_extensions<0..2^16-1>. Both are checked
// and not used. It reports whether OCSP is asked for; what follows another type
// can't be known and is not looked at.
func ParseStatusRequest(body []byte) (ocsp bool, err error) {
	r := read(protocol.ExtStatusRequest, body)
	if status := r.uint8("status_type"); r.err == nil && status != statusOCSP {
		return false, nil
	}
	r.each(r.vector16("responder_id_list", 0, max16), func() { r.vector16("responder_id", 1, max16) })
	r.vector16("request_extensions", 0, max16)
	err = r.done()
	return err == nil, err
}

// AppendStatusRequest appends a status_request for OCSP from any responder.
func AppendStatusRequest(b *wire.Builder) {
	b.Uint8(statusOCSP)
	b.Bytes16(nil)
	b.Bytes16(nil)
}

// ParseSCTs reads signed_certificate_timestamp as who has some sends it, a
// SignedCertificateTimestampList (RFC 6962 3.3): SerializedSCT
// sct_list<1..2^16-1>, each opaque<1..2^16-1>. Whoever asks sends it empty.
func ParseSCTs(body []byte) (timestamps [][]byte, err error) {
	r := read(protocol.ExtSCT, body)
	r.each(r.vector16("sct_list", 1, max16), func() {
		timestamps = append(timestamps, r.vector16("serialized_sct", 1, max16))
	})
	return timestamps, r.done()
}

// AppendSCTs appends a signed_certificate_timestamp.
func AppendSCTs(b *wire.Builder, timestamps [][]byte) {
	b.Vector16(func() {
		for _, t := range timestamps {
			b.Bytes16(t)
		}
	})
}

// ParseSupportedGroups reads supported_groups (RFC 9846 4.3.7): uint16
// named_group_list<2..2^16-1>.
func ParseSupportedGroups(body []byte) (Uint16s, error) {
	r := read(protocol.ExtSupportedGroups, body)
	groups := r.uint16s("named_group_list", r.vector16("named_group_list", 2, max16))
	return groups, r.done()
}

// AppendSupportedGroups appends a supported_groups.
func AppendSupportedGroups(b *wire.Builder, groups Uint16s) { b.Bytes16(groups) }

// ParseECPointFormats reads ec_point_formats (RFC 8422 5.1.2): uint8
// ec_point_format_list<1..255>.
func ParseECPointFormats(body []byte) ([]byte, error) {
	r := read(protocol.ExtECPointFormats, body)
	formats := r.vector8("ec_point_format_list", 1, max8)
	return formats, r.done()
}

// AppendECPointFormats appends an ec_point_formats.
func AppendECPointFormats(b *wire.Builder, formats []byte) { b.Bytes8(formats) }

// ParseSignatureAlgorithms reads signature_algorithms (RFC 9846 4.3.3): uint16
// supported_signature_algorithms<2..2^16-2>.
func ParseSignatureAlgorithms(body []byte) (Uint16s, error) {
	r := read(protocol.ExtSignatureAlgorithms, body)
	schemes := r.schemes()
	return schemes, r.done()
}

// AppendSignatureAlgorithms appends a signature_algorithms.
func AppendSignatureAlgorithms(b *wire.Builder, schemes Uint16s) { b.Bytes16(schemes) }

// ParseSignatureAlgsCert reads signature_algorithms_cert (RFC 9846 4.3.3), of
// the same form as signature_algorithms.
func ParseSignatureAlgsCert(body []byte) (Uint16s, error) {
	r := read(protocol.ExtSignatureAlgsCert, body)
	schemes := r.schemes()
	return schemes, r.done()
}

// AppendSignatureAlgsCert appends a signature_algorithms_cert.
func AppendSignatureAlgsCert(b *wire.Builder, schemes Uint16s) { b.Bytes16(schemes) }

// ParseUseSRTP reads use_srtp (RFC 5764 4.1.1): uint16 profiles<2..2^16-1>;
// opaque srtp_mki<0..255>.
func ParseUseSRTP(body []byte) (profiles Uint16s, mki []byte, err error) {
	r := read(protocol.ExtUseSRTP, body)
	profiles = r.uint16s("profiles", r.vector16("profiles", 2, max16))
	mki = r.vector8("srtp_mki", 0, max8)
	return profiles, mki, r.done()
}

// AppendUseSRTP appends a use_srtp.
func AppendUseSRTP(b *wire.Builder, profiles Uint16s, mki []byte) {
	b.Bytes16(profiles)
	b.Bytes8(mki)
}

// ParseALPN reads application_layer_protocol_negotiation as a client sends it
// (RFC 7301 3.1): ProtocolName protocol_name_list<2..2^16-1>, each
// opaque<1..255>. The names are copies.
func ParseALPN(body []byte) (protocols []string, err error) {
	r := read(protocol.ExtALPN, body)
	r.each(r.vector16("protocol_name_list", 2, max16), func() {
		protocols = append(protocols, string(r.vector8("protocol_name", 1, max8)))
	})
	return protocols, r.done()
}

// AppendALPN appends the protocols, most preferred first; a server appends one.
func AppendALPN(b *wire.Builder, protocols []string) {
	b.Vector16(func() {
		for _, p := range protocols {
			b.Bytes8([]byte(p))
		}
	})
}

// ParseALPNSelected reads application_layer_protocol_negotiation as a server
// sends it: the client's form with one name. More are illegal_parameter.
func ParseALPNSelected(body []byte) (string, error) {
	protocols, err := ParseALPN(body)
	if err != nil {
		return "", err
	}
	if len(protocols) != 1 {
		return "", alert.Peerf(alert.IllegalParameter, "%w: %v: the server selected %d protocols, want one", alert.MalformedExtension, protocol.ExtALPN, len(protocols))
	}
	return protocols[0], nil
}

// ParseRecordSizeLimit reads record_size_limit (RFC 8449 4): uint16, in bytes of
// plaintext. Less than 64 is illegal_parameter.
func ParseRecordSizeLimit(body []byte) (uint16, error) {
	r := read(protocol.ExtRecordSizeLimit, body)
	limit := r.uint16("record_size_limit")
	if r.err == nil && limit < 64 {
		r.fail(alert.IllegalParameter, "record_size_limit", "got %d, want 64 or more", limit)
	}
	return limit, r.done()
}

// AppendRecordSizeLimit appends a record_size_limit.
func AppendRecordSizeLimit(b *wire.Builder, limit uint16) { b.Uint16(limit) }

// ParseSupportedVersions reads supported_versions as a client sends it
// (RFC 9846 4.3.1): uint16 versions<2..254>.
func ParseSupportedVersions(body []byte) (Uint16s, error) {
	r := read(protocol.ExtSupportedVersions, body)
	versions := r.uint16s("versions", r.vector8("versions", 2, 254))
	return versions, r.done()
}

// AppendSupportedVersions appends a client's supported_versions.
func AppendSupportedVersions(b *wire.Builder, versions Uint16s) { b.Bytes8(versions) }

// ParseSelectedVersion reads supported_versions as a server sends it: uint16.
func ParseSelectedVersion(body []byte) (protocol.Version, error) {
	r := read(protocol.ExtSupportedVersions, body)
	version := protocol.Version(r.uint16("selected_version"))
	return version, r.done()
}

// AppendSelectedVersion appends a server's supported_versions.
func AppendSelectedVersion(b *wire.Builder, version protocol.Version) { b.Uint16(uint16(version)) }

// ParseCertAuthorities reads certificate_authorities (RFC 9846 4.3.4):
// DistinguishedName authorities<3..2^16-1>, each opaque<1..2^16-1> in DER.
func ParseCertAuthorities(body []byte) ([][]byte, error) {
	r := read(protocol.ExtCertAuthorities, body)
	names := r.authorities(3)
	return names, r.done()
}

// AppendCertAuthorities appends a certificate_authorities.
func AppendCertAuthorities(b *wire.Builder, names [][]byte) {
	b.Vector16(func() {
		for _, name := range names {
			b.Bytes16(name)
		}
	})
}

// ParseConnectionID reads connection_id (RFC 9146 3): opaque cid<0..255>, which
// the writer wants to find in records that come to it.
func ParseConnectionID(body []byte) ([]byte, error) {
	r := read(protocol.ExtConnectionID, body)
	id := r.vector8("cid", 0, max8)
	return id, r.done()
}

// AppendConnectionID appends a connection_id.
func AppendConnectionID(b *wire.Builder, id []byte) { b.Bytes8(id) }

// ParseRenegotiationInfo reads renegotiation_info (RFC 5746 3.2): opaque
// renegotiated_connection<0..255>, empty in a first handshake.
func ParseRenegotiationInfo(body []byte) ([]byte, error) {
	r := read(protocol.ExtRenegotiationInfo, body)
	info := r.vector8("renegotiated_connection", 0, max8)
	return info, r.done()
}

// AppendRenegotiationInfo appends a renegotiation_info.
func AppendRenegotiationInfo(b *wire.Builder, info []byte) { b.Bytes8(info) }
