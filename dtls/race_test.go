//go:build race

package dtls_test

func init() { raceDetector = true }
