package main

import (
	"crypto/subtle"
	"math/rand/v2"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// subjects are all that is timed, controls first: what is known to leak must be found,
// or the run says nothing of the rest.
func subjects() (all []subject) {
	all = append(all,
		comparison("control: bytes compared up to the first that differs", leakyCompare),
		comparison("control: crypto/subtle", subtle.ConstantTimeCompare))
	for i, s := range []uint16{suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, suite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA} {
		if i == 0 {
			all = append(all, cbcSubjects("control: CBC as if there were no clocks", suite.ByID(s), openNaively)...)
		}
		all = append(all, cbcSubjects("record, "+suite.ByID(s).Name, suite.ByID(s), openRecord)...)
	}
	for _, s := range []uint16{suite.TLS_AES_128_CCM_SHA256, suite.TLS_AES_128_CCM_8_SHA256, suite.TLS_AES_128_GCM_SHA256, suite.TLS_CHACHA20_POLY1305_SHA256} {
		all = append(all, tagSubject(suite.ByID(s)))
	}
	return append(all,
		binderSubject(), finishedSubject("Finished of 1.3", protocol.VersionTLS13), finishedSubject("Finished of 1.2", protocol.VersionTLS12),
		cookieSubject("cookie of HelloRetryRequest", protocol.VersionDTLS13), cookieSubject("cookie of HelloVerifyRequest", protocol.VersionDTLS12),
		ticketSubject(), identitySubject(), premasterSubject())
}

const secretLen = 32

// comparison times a function that compares a secret with what somebody sent.
func comparison(name string, compare func(a, b []byte) int) subject {
	return subject{name: name, classes: ends, effort: 1, open: func() (prepare, error) {
		secret := make([]byte, secretLen)
		for i := range secret {
			secret[i] = byte(rand.Uint32())
		}
		return func(class int) (trial, error) {
			sent := append([]byte{}, secret...)
			sent[place(class, secretLen)] ^= 1
			return timed(func() { compare(secret, sent) }), nil
		}, nil
	}}
}

// ends are the classes of what is compared with a secret.
var ends = [2]string{"first byte wrong", "last byte wrong"}

// place is where each of them is wrong.
func place(class, n int) int { return class * (n - 1) }

// leakyCompare is what nobody should write.
//
//go:noinline
func leakyCompare(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return 0
		}
	}
	return 1
}
