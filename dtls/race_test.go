//go:build race

package dtls

func init() { RaceDetector = true }
