//go:build !unix && !windows

package dtls

// These systems have no ICMP errors that are known by number.

func networkFault(error) bool  { return false }
func tooBig(error) bool        { return false }
func sourceRefused(error) bool { return false }
