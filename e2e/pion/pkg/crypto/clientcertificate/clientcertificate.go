// Package clientcertificate names what a server of 1.2 takes of clients.
package clientcertificate

// A Type is what a client's certificate may be for, as IANA numbers them.
type Type byte

// The types in use.
const (
	RSASign   Type = 1
	ECDSASign Type = 64
)
