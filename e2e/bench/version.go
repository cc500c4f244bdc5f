package main

import "crypto/tls"

// A version is one that DTLS and TLS both have.
type version string

const (
	version12 version = "1.2"
	version13 version = "1.3"
)

// number is TLS's.
func (v version) number() uint16 {
	if v == version13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// suite is AES-128-GCM.
func (v version) suite() uint16 {
	if v == version13 {
		return tls.TLS_AES_128_GCM_SHA256
	}
	return tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
}

// curves are a handshake's one group and, in 1.2, the curve of the certificate,
// which counts there too.
func (h handshake) curves(v version) []tls.CurveID {
	group := h.group
	if group == 0 {
		group = tls.X25519
	}
	if v == version12 {
		return []tls.CurveID{group, tls.CurveP256}
	}
	return []tls.CurveID{group}
}
