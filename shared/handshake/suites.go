package handshake

import (
	"crypto/tls"
	"iter"
	"slices"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// CipherSuites lists the suites that are used by default, most preferred first,
// as crypto/tls's function of that name does. SupportedVersions has TLS's
// numbers.
func CipherSuites() []*tls.CipherSuite {
	var all []*tls.CipherSuite
	for _, s := range suite.Table {
		if !s.Insecure() {
			all = append(all, describeSuite(s))
		}
	}
	return all
}

// InsecureCipherSuites lists those that are used only where Config.CipherSuites
// names them; see there for what is wrong with them.
func InsecureCipherSuites() []*tls.CipherSuite {
	var all []*tls.CipherSuite
	for _, s := range suite.Table {
		if s.Insecure() {
			all = append(all, describeSuite(s))
		}
	}
	return all
}

func describeSuite(s *suite.Suite) *tls.CipherSuite {
	return &tls.CipherSuite{ID: s.ID, Name: s.Name, SupportedVersions: []uint16{uint16(s.Version)}, Insecure: s.Insecure()}
}

// suites are the enabled suites of the generation of v, most preferred first.
func (c *Config) suites(v protocol.Version) iter.Seq[*suite.Suite] {
	v = v.Over(protocol.Stream)
	return func(yield func(*suite.Suite) bool) {
		named := false
		for _, id := range c.CipherSuites {
			if s := suite.ByID(id); s.Version == v {
				named = true
				if !yield(s) {
					return
				}
			}
		}
		if named {
			return
		}
		for _, s := range suite.Table {
			if s.Version == v && !s.Insecure() && !yield(s) {
				return
			}
		}
	}
}

// versionWithoutSuite is an enabled version of which a client has no suite to
// offer, or zero.
func (c *Config) versionWithoutSuite() protocol.Version {
	for _, v := range []protocol.Version{protocol.VersionTLS13, protocol.VersionTLS12} {
		if c.Enabled(v) && isEmpty(c.offeredSuites(v)) {
			return v
		}
	}
	return 0
}

func isEmpty[T any](list iter.Seq[T]) bool {
	for range list {
		return false
	}
	return true
}

// common are the suites of v that both sides have, most preferred first. That is
// the server's preference, but for one thing: a client that puts ChaCha20 before
// AES does so for want of AES instructions, so ChaCha20 comes first, as it does
// in crypto/tls and BoringSSL. A Config with an order of its own insists on it.
//
// RFC 9846 4.2.2 [12]
func (c *Config) common(v protocol.Version, offered message.Uint16s) iter.Seq[*suite.Suite] {
	return func(yield func(*suite.Suite) bool) {
		first := !c.ordersSuites(v) && prefersChaCha20(v, offered)
		if first {
			for s := range c.suites(v) {
				if s.ChaCha20() && offered.Contains(s.ID) && !yield(s) {
					return
				}
			}
		}
		for s := range c.suites(v) {
			if !(first && s.ChaCha20()) && offered.Contains(s.ID) && !yield(s) {
				return
			}
		}
	}
}

// ordersSuites reports whether CipherSuites names suites of v.
func (c *Config) ordersSuites(v protocol.Version) bool {
	return slices.ContainsFunc(c.CipherSuites, func(id uint16) bool { return suite.ByID(id).Version == v.Over(protocol.Stream) })
}

func prefersChaCha20(v protocol.Version, offered message.Uint16s) bool {
	for id := range offered.All() {
		if s := suite.ByID(id); s != nil && s.Version == v.Over(protocol.Stream) {
			return s.ChaCha20()
		}
	}
	return false
}
