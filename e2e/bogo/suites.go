package main

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/dtls"
)

// everySuite is what BoringSSL has of 1.2 by default: CBC too, and last. The
// suites of 1.3 stay those of the library, in whose order the client has a say.
func everySuite() []uint16 {
	var all []uint16
	for _, s := range slices.Concat(dtls.CipherSuites(), dtls.InsecureCipherSuites()) {
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS13) {
			all = append(all, s.ID)
		}
	}
	return all
}

// setSuites reads OpenSSL's language for suites of 1.2, as far as the suite has
// it: names and classes with ":" between them, "!" to take away. Suites that this
// library doesn't have are left out, as OpenSSL does.
func setSuites(s *settings, v string) error {
	if strings.Contains(v, "[") {
		return errUnimplemented // several suites that are equally good
	}
	var chosen []uint16
	for word := range strings.SplitSeq(v, ":") {
		class, taken := strings.CutPrefix(word, "!")
		for _, suite := range slices.Concat(dtls.CipherSuites(), dtls.InsecureCipherSuites()) {
			if !inClass(suite, class) {
				continue
			}
			chosen = slices.DeleteFunc(chosen, func(id uint16) bool { return id == suite.ID })
			if !taken {
				chosen = append(chosen, suite.ID)
			}
		}
	}
	if len(chosen) == 0 {
		return errUnimplemented
	}
	s.suites = chosen
	return nil
}

// inClass reports whether a word means a suite.
func inClass(s *tls.CipherSuite, word string) bool {
	switch {
	case slices.Contains(s.SupportedVersions, tls.VersionTLS13):
		return false // 1.3's can't be chosen by this language
	case word == "ALL" || word == "DEFAULT":
		return true
	case word == "AES":
		return strings.Contains(s.Name, "AES")
	case word == "AES128":
		return strings.Contains(s.Name, "AES_128")
	}
	return s.Name == word
}
