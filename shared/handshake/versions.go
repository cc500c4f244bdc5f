package handshake

import "github.com/godwit-dtls/godwit/shared/protocol"

// Enabled reports whether v, given in either transport's number, lies between
// MinVersion and MaxVersion.
//
// RFC 9846 4.3.1 [5]
func (c *Config) Enabled(v protocol.Version) bool {
	v = v.Over(protocol.Stream)
	lowest, highest := protocol.VersionTLS12, protocol.VersionTLS13
	if c.MinVersion != 0 {
		lowest = protocol.Version(c.MinVersion).Over(protocol.Stream)
	}
	if c.MaxVersion != 0 {
		highest = protocol.Version(c.MaxVersion).Over(protocol.Stream)
	}
	return lowest <= v && v <= highest
}

// highest is the highest enabled version, as transport t writes it.
func (c *Config) highest(t protocol.Transport) protocol.Version {
	if c.Enabled(protocol.VersionTLS13) {
		return protocol.VersionTLS13.Over(t)
	}
	return protocol.VersionTLS12.Over(t)
}

// validateVersions checks that there is a version between the bounds.
//
// RFC 9846 E.5 [4]
func (c *Config) validateVersions() error {
	lowest, highest := protocol.Version(c.MinVersion), protocol.Version(c.MaxVersion)
	const unknown = "%v is not supported, only 1.2 and 1.3 are"
	switch {
	case lowest != 0 && !lowest.Known():
		return unusable("MinVersion", unknown, lowest)
	case highest != 0 && !highest.Known():
		return unusable("MaxVersion", unknown, highest)
	case !c.Enabled(protocol.VersionTLS12) && !c.Enabled(protocol.VersionTLS13):
		return unusable("MinVersion", "%v is above MaxVersion %v", lowest, highest)
	}
	return nil
}
