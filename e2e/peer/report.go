package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"regexp"
	"strings"

	"golang.org/x/crypto/ocsp"
)

// What the programs print, in our names.

// match is the first group of the first pattern that is found in text.
func match(text string, patterns ...string) string {
	for _, pattern := range patterns {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			return found[1]
		}
	}
	return ""
}

// protocolName reads "DTLSv1.2", "DTLS1.2".
func protocolName(s string) string {
	kind, number, ok := strings.Cut(s, "S")
	if !ok {
		return ""
	}
	return kind + "S " + strings.TrimPrefix(number, "v")
}

func cipherName(s string) string {
	for _, suite := range suites {
		if s == suite.openssl {
			return suite.iana
		}
	}
	return ""
}

func groupName(s string) string {
	for _, g := range groups {
		if s == g.openssl || s == g.gnutls {
			return g.rfc
		}
	}
	return ""
}

// ocspStatus is what an OCSP response says; empty if there is none.
func ocspStatus(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	response, err := ocsp.ParseResponse(der, nil)
	switch {
	case err != nil:
		return err.Error()
	case response.Status == ocsp.Good:
		return "good"
	}
	return "not good"
}

// alertName reads "unknown CA".
func alertName(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), " ", "_")
}

// fingerprint is that of the first certificate in text.
func fingerprint(text string) string {
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return ""
		case block.Type == "CERTIFICATE":
			digest := sha256.Sum256(block.Bytes)
			return hex.EncodeToString(digest[:])
		}
	}
}
