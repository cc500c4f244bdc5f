package dtls

// SRTPProfile is the protection profile that was agreed for media beside this
// association (RFC 5764); zero if there is none, or the handshake is not complete.
func (c *Conn) SRTPProfile() SRTPProfile {
	if s := c.ConnectionState(); s.HandshakeComplete {
		return s.SRTPProfile
	}
	return 0
}

// SRTPKeys derives the master keys and salts of SRTPProfile; see
// ConnectionState.SRTPKeys.
func (c *Conn) SRTPKeys() (SRTPKeys, error) {
	s := c.ConnectionState()
	return s.SRTPKeys()
}
