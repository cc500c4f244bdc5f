//go:build dtls12

package dtls

// maxVersion is Pion's own.
const maxVersion = VersionDTLS12
