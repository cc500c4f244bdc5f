// Package differ has the tests that tell godwit the same lies as other implementations,
// and compare what they make of them: see docs/differential.md.
//
// A setting (run_test.go) is a handshake seen from the side that is tested. That side is a
// subject (subject_test.go, openssl_test.go): godwit, crypto/tls or OpenSSL. The other side
// is a rogue (rogue_test.go): a handshake.Machine that is lawful but for one fault, of a
// message (grammar_test.go, mutation_test.go) or of a record (record_test.go). What comes of
// it is an outcome; where two outcomes differ explained_test.go has to say why.
package differ
